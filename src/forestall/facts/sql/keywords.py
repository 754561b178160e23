"""What each SQL keyword and function does: tables of words. Only data.

Whatever is not here is not known. A function that is not listed as pure may be anybody's own.
"""

from collections.abc import Mapping
from typing import Final

from forestall.facts.shell.program_entry import names

# First word of a statement -> letters of its classes (see `sql`); these need no parse of their own.
STATEMENTS: Final[Mapping[str, str]] = {
    word: letters
    for letters, words in {
        "r": "show describe desc",
        "t": "commit savepoint release",
        "w": "lock unlock listen notify unlisten refresh analyze analyse",
        "s": "rename reindex cluster optimize",
        "p": "kill flush deny reassign security checkpoint",
        "pu": "attach detach install dbcc reconfigure backup clone",
        "wpu": "load bulk import unload export",
        "dpu": "restore shutdown",
        "d": "purge",
        "u": """call exec execute do prepare declare fetch move close open deallocate handler if
            while print go use reset system source delimiter help tee notee host stop
            change signal resignal get xa loop for raiserror throw waitfor""",
    }.items()
    for word in words.split()
}
# First word of a statement that is parsed -> letters of its classes, and what it parses to.
PARSED: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    word: (letters, frozenset(roots.split()))
    for word, letters, roots in (
        ("select", "r", "Select Union Except Intersect Subquery"),
        ("values", "r", "Values Select Union Except Intersect"),
        ("table", "r", "Select Union Except Intersect"),
        ("from", "r", "Select"),
        ("with", "r", "Select Union Except Intersect Subquery Insert Update Delete Merge"),
        ("insert", "w", "Insert MultitableInserts"),
        ("replace", "w", "Insert"),
        ("update", "w", "Update"),
        ("delete", "w", "Delete"),
        ("merge", "w", "Merge"),
        ("create", "s", "Create"),
        ("drop", "sd", "Drop"),
        ("alter", "s", "Alter"),
        ("comment", "s", "Comment"),
        ("truncate", "wd", "TruncateTable"),
        ("grant", "p", "Grant"),
        ("revoke", "p", "Revoke"),
    )
}
# Words that are no table's name unless quoted, and nobody quotes them.
NO_TABLES: Final = names(
    """select from where into table tables set values and or not null in on as join by group order
    limit is like if exists with for to full cascade database"""
)
# Words that start a statement of their own. Where one stands that the parse does not account for,
# a database that needs no semicolon could see another statement.
VERBS: Final = names(
    """drop truncate delete update insert merge alter create grant revoke exec execute shutdown kill
    deny backup restore reconfigure dbcc replace outfile
    dumpfile openrowset opendatasource openquery writetext updatetext"""
)
# Verbs that may stand inside a statement that starts with the key.
INNER_VERBS: Final[Mapping[str, frozenset[str]]] = {
    word: frozenset(verbs.split())
    for word, verbs in {
        "insert": "insert",
        "replace": "replace insert",
        "update": "update",
        "delete": "delete",
        "merge": "merge insert update delete",
        "truncate": "truncate",
        "create": "create replace",
        "drop": "drop",
        "alter": "alter drop truncate",
        "grant": "grant insert update delete truncate execute create alter drop",
        "revoke": "revoke insert update delete truncate execute create alter drop",
    }.items()
}
# Words anywhere in a text that could not be read -> letters of the classes they hint at.
HINTS: Final[Mapping[str, str]] = {
    word: letters
    for letters, words in {
        "d": "drop truncate delete update shutdown purge overwrite wipe rm replace merge erase",
        "p": """grant revoke role user xp_cmdshell cmdshell system program dblink outfile dumpfile
            load_extension attach superuser openrowset sp_oacreate""",
        "s": "alter create rename",
        "w": "insert copy load",
    }.items()
    for word in words.split()
}
PRIVILEGE_OBJECTS: Final = names(
    """user role group login credential certificate server extension language policy subscription
    publication privileges system owner authorization security trigger constraint_trigger
    publication wrapper link profile audit endpoint assembly directory instance"""
)
CODE_OBJECTS: Final = names(
    """function procedure proc trigger event rule package aggregate operator cast conversion task
    pipe stream macro job assembly java source"""
)
ALTER_LOSSES: Final = frozenset(
    ["drop", "truncate", "discard", "detach", "exchange", "remove", "unset"]
)
PRIVILEGED_SETTINGS: Final = names(
    """role authorization global persist persist_only password super session_replication_role
    sql_log_bin identity_insert row_security read_only"""
)
PLAIN_SETTINGS: Final = names(
    """transaction constraints timezone time statement_timeout lock_timeout datestyle names
    client_encoding application_name nocount autocommit extra_float_digits xact_abort
    idle_in_transaction_session_timeout client_min_messages intervalstyle"""
)
READING_PRAGMAS: Final = names(
    """table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list
    database_list compile_options function_list collation_list foreign_key_check integrity_check
    quick_check page_count freelist_count data_version"""
)
TRANSACTION_WORDS: Final = names(
    """begin start commit rollback end abort transaction tran work savepoint to release deferred
    immediate exclusive isolation level read write only committed uncommitted repeatable
    serializable and no chain with consistent snapshot prepared not deferrable"""
)

PURE_FUNCTIONS: Final = names(
    """abs acos age array_agg array_append array_cat array_length array_position array_remove
    array_to_json array_to_string array_upper array_lower asin ascii atan atan2 avg bit_and bit_or
    bit_length bool_and bool_or btrim cardinality cbrt ceil ceiling char char_length
    character_length charindex chr clock_timestamp coalesce col_description concat concat_ws cos
    cot count cume_dist curdate current_catalog current_database current_date current_schema
    current_schemas current_setting current_time current_timestamp current_user curtime database
    date date_add date_bin date_diff date_format date_part date_sub date_trunc dateadd datediff
    datename datepart datetime day dayname dayofmonth dayofweek dayofyear decode degrees dense_rank
    div encode every exp extract field find_in_set first_value floor format format_type
    from_unixtime generate_series generate_subscripts getdate getutcdate greatest group_concat
    grouping hex hour if ifnull iif initcap instr isdate isnull isnumeric json json_agg json_array
    json_array_elements json_array_elements_text json_array_length json_arrayagg json_build_array
    json_build_object json_each json_each_text json_extract json_extract_path
    json_extract_path_text json_group_array json_group_object json_object json_object_agg
    json_object_keys json_populate_record json_quote json_to_record json_to_recordset json_type
    json_typeof json_valid json_value jsonb_agg jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_pretty
    jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof julianday
    justify_days
    justify_hours justify_interval lag last_day last_insert_id last_insert_rowid last_value lcase
    lead least left
    len length like ln localtime localtimestamp locate log log10 log2 lower lpad ltrim make_date
    make_interval make_time make_timestamp make_timestamptz max md5 median mid min minute mod month
    monthname now nth_value ntile nullif num_nonnulls num_nulls nvl nvl2 obj_description
    octet_length overlay parse_ident patindex percent_rank percentile_cont percentile_disc
    pg_column_size pg_database_size pg_get_constraintdef pg_get_expr pg_get_functiondef
    pg_get_indexdef pg_get_viewdef pg_indexes_size pg_is_in_recovery pg_postmaster_start_time
    pg_relation_size pg_size_pretty pg_table_size pg_total_relation_size pg_typeof pi position
    power printf quarter quote quote_ident quote_literal quote_nullable radians rand random rank
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regexp_substr repeat replace replicate reverse right
    round row_number row_to_json rpad rtrim schema scope_identity sec_to_time second session_user
    sign similarity sin space split_part sqrt square starts_with statement_timestamp stddev
    stddev_pop stddev_samp str str_to_date strftime string_agg string_split string_to_array strpos
    stuff substr substring substring_index sum sysdate sysdatetime tan time timediff timestamp
    timestampadd timestampdiff timezone to_ascii to_char to_date to_days to_hex to_json to_jsonb
    to_number to_regclass to_timestamp to_tsquery to_tsvector total transaction_timestamp translate
    trim trunc ts_rank ts_headline plainto_tsquery websearch_to_tsquery typeof ucase unicode
    unistr unix_timestamp unixepoch unnest upper user utc_timestamp uuid gen_random_uuid
    uuid_generate_v4 var_pop var_samp variance version week weekday width_bucket year yearweek
    newid object_id object_name db_name charlength soundex isfinite inet_aton inet_ntoa json_tree
    struct array map row values table host masklen network broadcast word_similarity crc32 sha1 sha2
    sha256 sha512 st_distance st_contains st_within st_intersects st_x st_y st_astext st_asgeojson
    st_makepoint st_setsrid st_dwithin openjson try_convert choose eomonth string_escape json_query
    toyyyymm todate todatetime tostartofday countif uniq uniqexact quantile argmax argmin
    safe_divide
    safe_cast parse_date parse_timestamp format_date format_timestamp generate_date_array
    approx_count_distinct date_from_unix_date timestamp_trunc"""
)
# Functions that change rows or locks of this database.
WRITING_FUNCTIONS: Final = names(
    """nextval setval get_lock release_lock release_all_locks pg_advisory_lock pg_notify
    pg_advisory_unlock pg_try_advisory_lock pg_advisory_xact_lock pg_try_advisory_xact_lock
    pg_advisory_unlock_all lo_create lo_creat lo_unlink lowrite lo_put"""
)
# Functions that reach files, the network, other sessions or the server; with their beginnings.
RISKY_FUNCTIONS: Final = names(
    """pg_terminate_backend pg_cancel_backend lo_import lo_export load_file load_extension sys_eval
    sys_exec sys_get sys_set writefile readfile edit fts3_tokenizer query_to_xml
    query_to_xml_and_xmlschema
    cursor_to_xml table_to_xml schema_to_xml database_to_xml set_config openrowset opendatasource
    openquery xp_cmdshell url file remote remotesecure s3 hdfs executable mysql postgresql sqlite
    mongodb jdbc odbc azureblobstorage read_csv read_csv_auto read_json read_json_auto read_parquet
    read_text read_blob glob sniff_csv sqlite_scan postgres_scan postgres_query postgres_execute
    mysql_scan mysql_query httpget http_get http_post http eval query query_table
    input master_pos_wait source_pos_wait benchmark sleep pg_sleep pg_sleep_for pg_sleep_until
    external_query getvariable extractvalue updatexml xmltype httpuritype dbms_xmlgen"""
)
RISKY_BEGINNINGS: Final = (
    "pg_read_", "pg_ls_", "pg_stat_file", "pg_reload", "pg_rotate", "pg_switch", "pg_create_",
    "pg_drop_", "pg_logical_", "pg_replication_", "pg_promote", "pg_backup", "pg_start_backup",
    "pg_stop_backup", "pg_file_", "pg_import_", "pg_stat_reset", "pg_wal_replay", "dblink", "lo_",
    "xp_", "sp_", "utl_", "dbms_", "system$", "http_", "sys_", "fn_", "ai_", "ml_",
)  # fmt: skip
# Classes of the parser's own functions that reach beyond the rows of the query.
OUTSIDE_NODES: Final = names(
    """ReadCSV ReadParquet QueryTransform ToFile AIAgg AISummarizeAgg AIClassify AIEmbed
    AISimilarity
    AIGenerate AIForecast FeaturesAtTime GenerateEmbedding GenerateText GenerateTable GenerateBool
    GenerateInt GenerateDouble MLForecast MLTranslate Predict VectorSearch Secret XMLTable
    PropertyEQ Command Execute ExecuteImmediate  IfBlock WhileBlock Block DynamicIdentifier
    Attach Detach Install Pragma SessionParameter Columns  Set"""
)
SECRET_TABLES: Final = names(
    """pg_authid pg_shadow pg_user_mapping pg_user_mappings pg_hba_file_rules pg_file_settings
    pg_largeobject mysql.user mysql.db mysql.global_priv sys.sql_logins sys.syslogins
    master.sys.sql_logins sys.user$ dba_users all_users sys.credentials"""
)
