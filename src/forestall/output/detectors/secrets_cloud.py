"""Credentials of clouds, hosting, data stores and infrastructure."""

from forestall.output.detectors.checks import looks_random, random
from forestall.output.detectors.shapes import HEX, UUID, named, token
from forestall.output.findings import Candidate, Kind


def _aws_id(found: Candidate) -> float | None:
    """Ids of AWS are base32; an id of another alphabet is a mistake or invented."""
    if found.value.endswith("EXAMPLE") or not random(found.value[4:]):
        return None
    return 0.97 if not set("0189") & set(found.value[4:]) else 0.7


def _aws_secret(found: Candidate) -> float | None:
    value = found.value
    mixed = any(map(str.isupper, value)) and any(map(str.islower, value))
    return 0.95 if mixed and "EXAMPLE" not in value and random(value) else None


_AWS_NAMES = r"(?i:aws.{0,24}?(?:secret|key|token|pass|cred)|secret_?access_?key|\bsecret_?key)"
_SEPARATED = r"[\w.-]{0,24}[\"'\]]{0,2}\s{0,4}(?:=>|:=|[:=,>])\s{0,4}[\"']?"

KINDS: tuple[Kind, ...] = (
    token(
        "aws_access_key_id",
        "(?:AKIA|ASIA|ABIA|ACCA|A3T[0-9A-Z])[0-9A-Z]{16}",
        *("akia", "asia", "abia", "acca", "a3t"),
        shown=4,
        check=_aws_id,
    ),
    Kind(
        name="aws_secret_access_key",
        pattern=_AWS_NAMES + _SEPARATED + r"([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)",
        keywords=("aws", "secret"),
        before=8,
        after=160,
        check=_aws_secret,
    ),
    Kind(
        name="aws_access_key_pair",
        pattern=r"(?:AKIA|ASIA)[0-9A-Z]{16}[\"']?[\s:,;|]{1,4}"
        r"[\"']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)",
        keywords=("akia", "asia"),
        before=8,
        after=120,
        check=_aws_secret,
    ),
    Kind(
        name="aws_session_token",
        pattern=r"(?i:session_?token)" + _SEPARATED + r"([A-Za-z0-9/+._=-]{34,})",
        keywords=("session_token", "sessiontoken"),
        after=4_200,
        check=looks_random(0.85, length_min=34),
    ),
    token("aws_bedrock_api_key", r"ABSK[A-Za-z0-9+/]{100,}={0,2}", "absk", shown=4),
    token(
        "aws_bedrock_short_key",
        r"bedrock-api-key-[A-Za-z0-9+/=]{60,}",
        "bedrock-api-key-",
        shown=16,
        after=2_100,
    ),
    token("aws_mws_token", rf"amzn\.mws\.{UUID}", "amzn.mws", shown=9),
    token("google_api_key", r"AIza[\w-]{35}", "aiza", shown=4),
    token("google_oauth_client_secret", r"GOCSPX-[\w-]{24,40}", "gocspx-", shown=7),
    token("google_oauth_access_token", r"ya29\.[\w-]{20,}", "ya29.", shown=5, after=1_100),
    token("google_oauth_refresh_token", r"1//0[\w-]{30,}", "1//0", shown=4),
    Kind(
        name="azure_storage_key",
        pattern=r"(?i:accountkey|sharedaccesskey|sharedsecret|primarykey|secondarykey)"
        r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?([A-Za-z0-9+/]{40,88}={0,2})",
        keywords=("accountkey", "sharedaccesskey", "sharedsecret", "primarykey", "secondarykey"),
        after=160,
        check=looks_random(0.95, length_min=40),
    ),
    Kind(
        name="azure_app_configuration_secret",
        pattern=r"azconfig\.io;Id=[^;\s]{4,60};Secret=([A-Za-z0-9+/=]{32,})",
        keywords=("azconfig.io",),
        after=240,
        check=looks_random(0.95),
    ),
    Kind(
        name="azure_sas_signature",
        pattern=r"[?&;]sig=([A-Za-z0-9%+/_-]{40,}(?:%3D|=){0,2})",
        keywords=("sig=",),
        after=160,
        check=looks_random(0.85),
    ),
    token("azure_client_secret", r"[\w~.]{3}[0-9]Q~[\w~.-]{31,34}", "q~", shown=0),
    token(
        "azure_cognitive_key",
        r"[A-Za-z0-9]{50,90}JQQJ99[A-Za-z0-9]{20,40}={0,2}",
        "jqqj99",
        before=100,
    ),
    token("azure_devops_token", r"[A-Za-z0-9]{52}AZDO[A-Za-z0-9]{24}", "azdo", before=64),
    named("azure_devops_pat", "azure", "[a-z2-7]{52}", length_min=52),
    token(
        "digitalocean_token", rf"do[opr]_v1_{HEX}{{64}}", "doo_v1_", "dop_v1_", "dor_v1_", shown=7
    ),
    token(
        "alibaba_access_key_id",
        r"LTAI[A-Za-z0-9]{12,26}",
        "ltai",
        shown=4,
        check=looks_random(0.8, skip=4, length_min=12),
    ),
    token("tencent_secret_id", r"AKID[A-Za-z0-9]{32}", "akid", shown=4),
    token("cloudflare_origin_ca_key", rf"v1\.0-{HEX}{{24}}-{HEX}{{140,}}", "v1.0-", shown=5),
    named("cloudflare_api_token", "cloudflare", r"[\w-]{37,40}", length_min=37),
    token("heroku_api_key", r"HRKU-[\w-]{36,64}", "hrku-", shown=5),
    named("heroku_legacy_key", "heroku", UUID),
    token(
        "flyio_token",
        r"(?:FlyV1 )?f(?:o1|m1|m2)_[\w+/=,-]{40,}",
        "fo1_",
        "fm1_",
        "fm2_",
        shown=4,
        after=1_100,
    ),
    token("render_api_key", r"rnd_[A-Za-z0-9]{28,40}", "rnd_", shown=4),
    token("netlify_token", r"nfp_[A-Za-z0-9]{36,44}", "nfp_", shown=4),
    token("scalingo_token", r"tk-us-[\w-]{48}", "tk-us-", shown=6),
    named("scaleway_secret_key", "scaleway", r"[0-9a-z]{8}(?:-[0-9a-z]{4}){3}-[0-9a-z]{12}"),
    token("yandex_cloud_key", r"AQVN[\w-]{35,38}", "aqvn", shown=4),
    token("yandex_oauth_token", r"y[0-3]_[\w-]{50,64}", "y0_", "y1_", "y2_", "y3_", shown=3),
    token(
        "yandex_iam_token",
        r"t1\.[A-Z0-9a-z_-]{60,}[=]{0,2}\.[\w-]{80,}={0,2}",
        "t1.",
        shown=3,
    ),
    token("databricks_token", rf"dapi{HEX}{{32}}(?:-[0-9])?", "dapi", shown=4),
    token("planetscale_token", r"pscale_(?:tkn|pw|oauth)_[\w=.-]{32,64}", "pscale_", shown=7),
    token("supabase_token", rf"sbp_(?:oauth_)?{HEX}{{40}}", "sbp_", shown=4),
    token("supabase_secret_key", r"sb_secret_[\w-]{22,60}", "sb_secret_", shown=10),
    token("neon_api_key", r"napi_[a-z0-9]{60,70}", "napi_", shown=5),
    token(
        "clickhouse_cloud_secret",
        r"4b1d[A-Za-z0-9]{38}",
        "4b1d",
        shown=4,
        check=looks_random(0.85, skip=4, length_min=38),
    ),
    token(
        "doppler_token",
        r"dp\.(?:ct|pt|st|sa|scim|audit)(?:\.[\w-]{2,35})?\.[A-Za-z0-9]{40,44}",
        "dp.",
        shown=3,
    ),
    token(
        "vault_token",
        r"hv[sbr]\.[\w-]{20,}",
        "hvs.",
        "hvb.",
        "hvr.",
        shown=4,
        check=looks_random(0.95, skip=4, length_min=20),
    ),
    token("terraform_cloud_token", r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{60,80}", "atlasv1"),
    token("pulumi_token", rf"pul-{HEX}{{40}}", "pul-", shown=4),
    token("infracost_token", r"ico-[A-Za-z0-9]{32}", "ico-", shown=4),
    token(
        "tailscale_key",
        r"tskey-[A-Za-z0-9]{4,20}-[A-Za-z0-9]{8,40}(?:-[A-Za-z0-9]{4,40})?",
        "tskey-",
        shown=6,
    ),
    token("docker_hub_token", r"dckr_(?:pat|oat)_[\w-]{24,40}", "dckr_pat_", "dckr_oat_", shown=9),
    token("openshift_token", r"sha256~[\w-]{43}", "sha256~", shown=7),
    Kind(
        name="kubernetes_bootstrap_token",
        pattern=r"(?i:bootstrap[_-]?token|--token|--discovery-token)[\"'=:\s]{1,5}"
        r"([a-z0-9]{6}\.[a-z0-9]{16})\b",
        keywords=("bootstrap", "--token", "discovery-token"),
        check=looks_random(0.9),
    ),
    token("onepassword_service_token", r"ops_eyJ[\w-]{200,}={0,2}", "ops_ey", shown=4, after=1_300),
    token(
        "onepassword_secret_key",
        r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}",
        "a3-",
        shown=3,
    ),
    token("confluent_secret", r"cflt[A-Za-z0-9+/]{60}", "cflt", shown=4),
    named("mongodb_atlas_private_key", "(?:mongo|atlas)", UUID, "mongo", "atlas"),
    named("mongodb_private_key", "private", UUID),
    token("prefect_api_key", r"pn[ub]_[a-zA-Z0-9]{36}", "pnu_", "pnb_", shown=4),
    token("dbt_token", r"dbt[cu]_[\w-]{36,60}", "dbtc_", "dbtu_", shown=5),
    token(
        "snowflake_token",
        r"ver:1-hint:[0-9]{4,}-ETMsDgAAA[\w+/=-]{40,}",
        "ver:1-hint",
        shown=0,
        after=900,
    ),
)
