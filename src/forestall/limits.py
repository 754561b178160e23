"""Every number that bounds something: unit last, with its reason. Values only."""

# -- what crosses the network --
BODY_BYTES_MAX = 2 * 1024 * 1024  # the peer's limit, so that its clients meet the same edge
HEAD_BYTES_MAX = 64 * 1024  # nobody has proven who they are while we read a head
HEAD_FIELDS_MAX = 100
PUBLIC_NAMES_MAX = 32  # of one server; more is a mistake in the setting
HEAD_SECONDS_MAX = 15  # from the first byte, or from the connection, to the end of the head
BODY_READ_SECONDS_MAX = 15  # a client that drips bytes may not hold a connection for ever
JSON_DEPTH_MAX = 64  # far above any real payload, far below the parser's own recursion limit
INTEGER_MAX = 2**53 - 1  # I-JSON (RFC 7493): beyond it two readers may see two numbers
PROMPT_CHARS_MAX = 50_000  # the wire contract's default
TOPIC_CHARS_MAX = 256
NAME_CHARS_MAX = 256  # tenant, principal, actor, pack, capability, one tag, one requirement
LABELS_MAX = 50
LABEL_KEY_CHARS_MAX = 256
LABEL_VALUE_CHARS_MAX = 4_096
TAGS_MAX = 50  # risk tags, requires and tags, each
IDEMPOTENCY_KEY_CHARS_MAX = 256
PAGE_ITEMS_DEFAULT = 50
PAGE_ITEMS_MAX = 500
DECISIONS_PER_JOB_PAGE_MAX = 200
CURSOR_CHARS_MAX = 256
QUERY_FIELDS_MAX = 64
DECODE_INLINE_BYTES_MAX = 16 * 1024  # of a body; longer ones are read in a thread
DECODES_AT_ONCE = 2  # threads for that; a tenant has one of them
DECODES_WAITING_MAX = 256  # bodies; past it 429
DECODES_WAITING_PER_TENANT_MAX = 64
DECODES_WAITING_PER_KEY_MAX = 16
JSON_CONTAINERS_MAX = 100_000  # objects and arrays in one body: the reader makes each in one step

# -- what is in progress at once --
REQUESTS_MAX = 16_384  # past it 429; as many as the store takes commits
REQUESTS_PER_TENANT_MAX = 8_192
REQUESTS_PER_KEY_MAX = 2_048
LONG_BODIES_BYTES_MAX = 512 * 1024 * 1024  # in memory; of bodies past DECODE_INLINE_BYTES_MAX
LONG_BODIES_BYTES_PER_TENANT_MAX = 256 * 1024 * 1024
LONG_BODIES_BYTES_PER_KEY_MAX = 64 * 1024 * 1024

# -- what we ask of others over HTTP --
HTTP_RESPONSE_BYTES_MAX = 64 * 1024 * 1024  # of a body that is kept whole
HTTP_IDLE_CONNECTIONS_MAX = 8  # kept by one client for further requests
HTTP_IDLE_SECONDS_MAX = 10  # well below what servers keep an idle connection for

# -- policy --
POLICY_BYTES_MAX = 8 * 1024 * 1024  # 10,000 rules of ordinary length are about 3 MiB
POLICY_FILES_MAX = 256  # a directory of bundles; more is a mistake in --policy
POLICY_SETTLE_SECONDS = 10  # unless set: an editor pauses for seconds, hardly ever for ten
POLICY_SETTLE_SECONDS_MAX = 600
POLICY_GONE_SECONDS = 2  # an editor moves the old file aside just before it writes the new one
POLICY_DEPTH_MAX = 24  # the language itself needs 7
POLICY_NODES_MAX = 650_000  # keys and values, lists twice: 10,000 rules of 65; about a second
POLICY_PROBLEMS_MAX = 1_000  # then reading stops
ACTIVATIONS_SEARCHED_MAX = 1_000  # of the history, for those of one policy; one page of memory
POLICY_PROBLEMS_SHOWN_MAX = 50  # a person mends a screenful at a time
RULES_PER_FILE_MAX = 10_000  # compile stays inside a second (bench/evaluate.py)
OUTPUT_RULES_PER_FILE_MAX = 500  # their words are looked for in every result
LIST_ITEMS_PER_FIELD_MAX = 1_000  # a longer list wants a label or a tag, not a rule
OWN_DETECTORS_MAX = 200  # of one file: each may look at every payload and result
OWN_PROGRAMS_MAX = 500  # of one file; the built-in table has about 1,000
OWN_PROGRAM_CHARS_MAX = 64 * 1024  # of one entry as JSON; the largest built-in one has half of that
OWN_PROGRAM_EXAMPLES_MAX = 2_000  # of one file: parsed at every load, in about half a second
OWN_PROGRAM_EXAMPLE_CHARS_MAX = 1_024  # of one example
OWN_PROGRAM_COMMANDS_MAX = 20_000  # programs and subcommands of one file, with `same_as` followed
OWN_PROGRAM_SAME_AS_MAX = 100  # that one program follows
OWN_PROGRAM_OPTIONS_MAX = 200  # of one command with an effect: each word is compared with them
LIST_ENTRIES_COPIED_MAX = 500_000  # that references to named lists put into one file: about 1 s
GLOB_CHARS_MAX = 512
REASON_CHARS_MAX = 1_024
REMEDIATIONS_PER_RULE_MAX = 16
REMEDY_CHECK_STEPS_MAX = 50_000  # glances at two rules while compiling; about 0.4 s
THROTTLE_LIMIT_MAX = 1_000_000  # actions in one window
THROTTLE_SUM_MAX = 1_000_000_000_000_000  # of amounts in one window; more is a mistake of unit
QUORUM_MAX = 16  # approvers of one job
DURATION_MS_MAX = 366 * 86_400_000  # a year; longer is a mistake of unit
POLICY_TESTS_MAX = 5_000
ARG_PATH_CHARS_MAX = 256
ARG_CONDITIONS_MAX = 32  # of one rule
ARG_ELEMENTS_MAX = 10_000  # of an array in one condition: about 3 ms; a longer array: deny
PATTERN_BYTES_MAX = 1_024  # RE2 is linear in the text, and this bounds its factor
GLOB_MEMO_ENTRIES_MAX = 8_192  # distinct values remembered per compiled glob list

# -- facts --
FACTS_PER_TEXT_MAX = 64  # commands, statements or hosts in one text; at the bound: deny
PARSED_CHARS_MAX = 128 * 1024  # of all texts of a payload that a deriver parses; past it: deny
PAYLOAD_VALUES_MAX = 10_000  # of a payload that a deriver reads: some 30 ms; past it: deny
UNREAD_SHOWN_MAX = 20  # places with an unread text in an explanation
VIEWS_MAX = 256  # things that one payload may do; more cannot be decided one by one: deny
INSPECT_INLINE_BYTES_MAX = 4 * 1024  # of a payload; longer ones are looked into in a thread
INSPECTIONS_AT_ONCE = 2  # threads for that
INSPECTIONS_PER_KEY_MAX = 4  # long payloads of one key at once: one key may not fill the queue
INSPECTIONS_PER_TENANT_MAX = 64  # nor one tenant
INSPECTIONS_WAITING_MAX = 256  # of all keys; past it 503
EXPLAINED_RULES_MAX = 20  # nearest rules shown when none or few apply

# -- store and log --
INSTANT_US_MAX = 253_402_300_799_000_000  # the end of 9999: no later date can be written
REMEMBER_SECONDS = 60  # how much of the last uses of keys, and of time, a crash may forget
COMMIT_GROUP_MAX = 256  # changes in one transaction; measured: more adds latency, not rate
COMMIT_GAP_US = (
    1_500  # between transactions under load: a change in fours costs half of one in twos
)
COMMITS_PENDING_MAX = 16_384  # past it a submit is refused with 503, never queued for ever
AUDIT_PAGE_RECORDS_MAX = 1_000
KEYS_PER_TENANT_MAX = 10_000
TENANTS_MAX = 1_000  # that were made over the API: all are in memory, and in one list
TENANT_NOTE_CHARS_MAX = 1_000  # a description, or why a tenant is suspended: stands in records

# -- memory --
FULL_COLLECTION_SECONDS = 600  # between full garbage collections: each stops all for some 10 ms
FULL_COLLECTION_GROWTH_PERCENT = 25  # of memory blocks in use: then one is due before its time
FULL_COLLECTION_BLOCKS_MIN = 1_000_000  # about 100 MB: less growth than that brings none forward

# -- rates --
RATE_PER_SECOND_MAX = 1_000_000  # of requests; more than one process can answer
RATE_BUCKETS_MAX = 100_000  # keys, and tenants, in use within one second: about 20 MB each
# A cost unit is a KiB to keep, or 0.1 ms of processor time. One key takes 0.4 of a core at most.
COST_PER_KEY_SECOND = 4_096
COST_PER_KEY_BURST = 32_768  # sixteen bodies of the longest size, or three seconds of work
COST_PER_TENANT_SECOND = 16_384
COST_PER_TENANT_BURST = 131_072
COST_SECONDS = 0.0001  # of processor time in one unit
COST_JSON_VALUES = 64  # commas and brackets in one unit: so many are read in about 0.1 ms
COST_DEBT_SECONDS_MAX = 10  # until a key whose work took longer than it had may ask again
AUTH_FAILURES_PER_SECOND = 20  # of one address, before bad keys get 429 instead of 401
AUTH_FAILURES_BURST = 200
IPV6_NETWORK_BITS = 64  # the smallest network that one subscriber gets: it counts as one address

# -- identity --
API_KEY_CHARS_MIN = 32  # below this a key can be guessed, and we store an unsalted hash
API_KEY_CHARS_MAX = 512
AGENTS_PER_TENANT_MAX = 10_000  # revoked ones too, whose names stay taken; about 2 KB each
AGENT_LIST_ITEMS_MAX = 100  # in one list of an agent: each is tried on every action of the agent
KEYS_PER_AGENT_MAX = 100  # not revoked: one commit ends them all with their agent

# -- gate --
DECISION_CACHE_ENTRIES_MAX = 10_000  # about 20 MB at the most
DECISION_CACHE_TTL_MS = 30_000  # a decision depends on its key alone; this bounds our mistakes
THROTTLE_COUNTERS_MAX = 100_000  # rules times keys counted at once: about 20 MB
THROTTLE_COUNTERS_PER_TENANT_MAX = 25_000
THROTTLE_COUNTERS_PER_PRINCIPAL_MAX = 5_000  # one agent may not take its tenant's counters

# -- queue and workers --
QUEUED_JOBS_PER_TENANT_MAX = 1_000_000  # past it a submit is refused with 429; about 0.5 KB each
QUEUED_JOBS_PER_KEY_MAX = 500_000  # one key may not fill its tenant's queue
QUEUE_LANES_PER_KEY_MAX = 200  # opened by one key; a fleet of agents shares its kinds of work
QUEUE_LANES_PER_TENANT_MAX = 1_000  # kinds of work that wait at once: a pick looks at each
LEASE_SECONDS = 30  # unless set: a worker that is silent for so long has lost its jobs
LEASE_SECONDS_MAX = 3_600  # as long nobody learns that a worker died
LEASE_JOBS_MAX = 64  # jobs in one answer
LEASE_WAIT_SECONDS_MAX = 30  # how long a worker may wait for work in one request
WORKERS_PER_TENANT_MAX = 10_000
WORKER_PARALLEL_MAX = 1_024
WORKER_WILDCARDS_MAX = 100  # in all names of one list of a worker: each costs some 50 µs to compile
WORKER_WAITS_MAX = 16  # requests of one worker that wait for work or for a notice at once
RESULT_BYTES_MAX = 1024 * 1024
REPORT_MARKS_MAX = 8_192  # quotes, commas, brackets of a report that is not valid: about 20 ms
ERROR_CHARS_MAX = 4_096  # of what a worker says went wrong
PROGRESS_CHARS_MAX = 1_024
FAILURES_JOINED_MAX = 4  # of earlier attempts: a secret may begin in one and end in the next
EARLIER_CHARS_MAX = 1_024  # of earlier progress: a secret may begin there and end in the next
RETRIES_DEFAULT = 3  # after the first attempt, and only where a retry is safe
RETRIES_MAX = 100
RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX = 1, 300
HOLD_SECONDS_MAX = 24 * 3_600  # a job throttled for longer goes to the dead letters
LINEAGE_DEPTH_MAX = 8  # remediations of remediations: past it a person should look
TICKET_CHARS_MAX = 64 * 1024
BLIND_RETRY_SECONDS = 600  # "soon after a denial"
BLIND_RETRY_ENTRIES_MAX = 10_000
BLIND_RETRY_ENTRIES_PER_PRINCIPAL_MAX = 200  # denials of one agent do not push out others'

# -- streams --
STREAMS_MAX = 2_048  # open at once; an idle one costs 17 KB, as a WebSocket 28 KB (measured)
STREAMS_PER_TENANT_MAX = 1_024  # one tenant may not take them all
STREAMS_PER_KEY_MAX = 128  # nor one key those of its tenant
STREAM_WAKE_MS_MIN = 20  # followers wake together and not more often, so they share what is read
STREAM_PAGE_RECORDS_MAX = 256
STREAM_PAGE_BYTES_MAX = 64 * 1024  # what waits in memory for a reader that does not read
STREAM_READS_MAX = 2  # at once, so that a replay does not crowd out what else reads
STREAM_HEARTBEAT_SECONDS = 15  # the wire contract's; the credential is looked at as often
JOB_WAIT_MS_MAX = 30_000  # of one request for a job; a wait counts as a stream
STREAM_STOP_SECONDS_MAX = 1  # what a reader has for the rest when the server stops
WRITE_STALL_SECONDS_MAX = 60  # a client that reads nothing for so long loses its connection
WEBSOCKET_MESSAGE_BYTES_MAX = 4 * 1024  # a stream takes no messages; this bounds what it ignores
WEBSOCKET_PING_SECONDS, WEBSOCKET_PONG_SECONDS_MAX = 30, 10  # the wire contract's

# -- topics, pools and input schemas --
TOPICS_PER_TENANT_MAX = 1_000
POOLS_PER_TENANT_MAX = 200
TOPICS_NAMED_MAX = 20  # in the refusal of an unknown topic; the wire contract's number
DESCRIPTION_CHARS_MAX = 1_024
DRAIN_SECONDS_DEFAULT = 300
DRAIN_SECONDS_MAX = 3_600
SCHEMAS_PER_TENANT_MAX = 1_000
SCHEMA_BYTES_MAX = 64 * 1024
SCHEMA_NODES_MAX = 2_000  # schemas inside one
SCHEMA_DEPTH_MAX = 64  # references followed
SCHEMA_COST_MAX = 500  # looks at one place of a payload; a pattern counts 100
SCHEMA_PATTERN_BYTES_MAX = 32 * 1024  # of one compiled pattern
SCHEMA_PAYLOAD_BYTES_MAX = 128 * 1024  # of prompt, context and arguments: linear is not free
SCHEMA_VIOLATIONS_MAX = 20

# -- approvals --
APPROVAL_HOURS_DEFAULT = 24  # where no rule gives a `ttl`
REDECIDED_AT_ONCE = 64  # stale approvals in one batch: their commits share one sync of the disk
APPROVAL_NOTE_CHARS_MAX = 2_000  # of a reason or a note
ANALYTICS_APPROVALS_MAX = 10_000  # looked at for one answer, the newest: about half a second
ANALYTICS_DAYS_DEFAULT = 7
ANALYTICS_DAYS_MAX = 366

# -- results, before anybody reads them --
SCAN_SECONDS_MAX = 10  # of one result; what takes longer is withheld
SCANS_AT_ONCE = 3  # threads; more would take the interpreter from those who wait for answers
SCANS_PER_TENANT_MAX = 2  # so another tenant finds a thread; of one key one scan runs at once
SCANS_WAITING_MAX = 256  # results in memory; past it a worker is asked to answer again
SCANS_WAITING_PER_TENANT_MAX = 128
SCANS_WAITING_PER_KEY_MAX = 64  # as many as one worker answers in one request
SCAN_DECODED_BYTES_MAX = 8 * 1024 * 1024  # of all encodings in one result; more is withheld unread
SCAN_INLINE_BYTES_MAX = 256  # shorter than this a scan is cheaper than the way to a thread
SCAN_FINDINGS_MAX = 10_000  # in one result; more are withheld unread
REDACTIONS_MAX = 4  # of one result, while a model of language goes on to see names in the copy
FINDINGS_KEPT_MAX = 100  # of one result, for people to read; all of them are counted
PAIRED_TEXTS_MAX = 8  # texts of a job that are looked at two by two; of more, a list in its order
TABLE_BYTES_MAX = 1024 * 1024  # of a table of data in the package; the largest has 26 KB
TABLE_DEPTH_MAX = 16  # of lists and mappings in it; entries need 8
CONTEXT_CHARS = 60  # round a finding, for whoever may release the result
SEALED_DAYS = 30  # unless set: so long an original that was not released can be
SEALED_DAYS_MAX = 3_660
PURGED_AT_ONCE_MAX = 200  # originals, in one commit
CHECK_CONTENT_BYTES_MAX = BODY_BYTES_MAX  # of POST /output/check

# -- webhooks --
WEBHOOKS_PER_TENANT_MAX = 20
WEBHOOKS_MAX = 200  # each has a task and may have a connection of its own
WEBHOOK_URL_CHARS_MAX = 2_048
WEBHOOK_TRIES_MAX = 12  # of one message: about a quarter of an hour, then it is a dead letter
WEBHOOK_SECONDS_MAX = 10  # of one try, from the name to the end of the answer's head
WEBHOOK_ANSWER_BYTES_MAX = 16 * 1024  # of the head of an answer; its body is not read
WEBHOOK_RECORDS_PER_MARK_MAX = 10_000  # records without a message, until that is noted
LINKS_MAX = 50_000  # tokens that are still good: about 25 MB; past it messages hold none

# -- connections --
CONNECTIONS_MAX = 32_768  # open at once; half of the files that a process may open
CONNECTIONS_PER_ADDRESS_MAX = 16_384  # of one network; behind a proxy all clients are one address

# -- metrics --
METRIC_CONNECTIONS_MAX = 16  # open at once, each with a thread; the oldest is closed for a new one
METRIC_SECONDS_MAX = 10  # from a connection to the end of its answer
METRIC_TOPICS_MAX = 200  # distinct topic label values; the rest is counted as `other`

# -- the command line --
LINE_CHARS_MAX = 4_000  # of one line on a terminal: a text of an agent may not push the rest away
