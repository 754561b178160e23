"""Samples of every kind of secret, drawn when they are needed: no credential stands in the tree.

A recipe is text with holes: `{h40}` is 40 hexadecimal characters, `a` letters and digits, `u` upper
case and digits, `l` lower case and digits, `b` base64url, `s` base64, `d` digits, `B` base32, `t`
lower-case base32, `q` bech32. Some holes are calculated: `{crc}` is the checksum
of GitHub and npm over what stands behind the last `_`.
"""

import base64
import binascii
import random
import re
import string

from forestall.output.detectors.checks import placeholder

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CLASSES = {
    "h": "0123456789abcdef",
    "a": string.ascii_letters + string.digits,
    "u": string.ascii_uppercase + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "b": string.ascii_letters + string.digits,  # "-" and "_" would make ends of tokens ambiguous
    "s": string.ascii_letters + string.digits,
    "d": string.digits,
    "q": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "B": "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
    "t": "abcdefghijklmnopqrstuvwxyz234567",
}
_HOLE = re.compile(r"\{(?:([a-zA-Z])(\d+)|(uuid|crc|jwt|pem|basic|discord))\}")


def drawn(recipe: str, seed: int) -> str:
    """The recipe with its holes filled."""
    chance = random.Random(f"{seed}:{recipe}")
    text = _HOLE.sub(lambda hole: _filled(hole, chance), recipe)
    if "\0" in text:  # the checksum, over what stands in front of it
        body = re.split("[^A-Za-z0-9]", text[: text.index("\0")])[-1]
        text = text.replace("\0", _crc(body))
    return text


def dull(recipe: str) -> str:
    """The recipe with holes filled by `x`, as documentation shows it: no secret."""
    return _HOLE.sub(lambda hole: "x" * int(hole[2] or 36), recipe)


def short(recipe: str, seed: int) -> str:
    """The recipe with at most three characters in every hole: another form, or no secret."""
    return drawn(
        _HOLE.sub(lambda hole: f"{{{hole[1] or 'h'}{min(3, int(hole[2] or 3))}}}", recipe), seed
    )


def _filled(hole: re.Match[str], chance: random.Random) -> str:
    if hole[3] == "crc":
        return "\0"
    if hole[3] == "uuid":
        return "-".join(_some("h", size, chance) for size in (8, 4, 4, 4, 12))
    if hole[3] == "jwt":
        parts = [
            b'{"alg":"HS256"}',
            b'{"sub":"%d"}' % chance.randrange(10**9),
            chance.randbytes(32),
        ]
        return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    if hole[3] == "pem":
        body = base64.encodebytes(chance.randbytes(300)).decode()
        return f"{'-' * 5}BEGIN RSA PRIVATE KEY-----\n{body}-----END RSA PRIVATE KEY-----"
    if hole[3] == "basic":
        return base64.b64encode(f"alice:{_some('a', 12, chance)}".encode()).decode()
    if hole[3] == "discord":
        name = base64.b64encode(str(chance.randrange(10**17, 10**18)).encode()).decode()
        return f"{name.rstrip('=')}.{_some('a', 6, chance)}.{_some('a', 27, chance)}"
    return _some(hole[1], int(hole[2]), chance)


def _some(name: str, size: int, chance: random.Random) -> str:
    """Characters of a class, letters and digits in turn often enough, and no word for nothing."""
    letters = _CLASSES[name]
    while True:
        text = "".join(chance.choices(letters, k=size))
        if size < 8 or name == "d" or (any(map(str.isdigit, text)) and not placeholder(text)):
            return text


def _crc(body: str) -> str:
    number, text = binascii.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text.rjust(6, "0")


SECRETS: dict[str, str] = {
    # cloud
    "aws_access_key_id": "id = AKIA{B16}",
    "aws_secret_access_key": "aws_secret_access_key = {s40}",
    "aws_access_key_pair": "AKIA{B16}:{s40}",
    "aws_session_token": "AWS_SESSION_TOKEN={s200}",
    "aws_bedrock_api_key": "ABSK{s128}",
    "aws_bedrock_short_key": "bedrock-api-key-{s120}",
    "aws_mws_token": "amzn.mws.{uuid}",
    "google_api_key": "AIza{b35}",
    "google_oauth_client_secret": "GOCSPX-{b28}",
    "google_oauth_access_token": "ya29.{b80}",
    "google_oauth_refresh_token": "1//0{b60}",
    "azure_storage_key": "AccountName=x1;AccountKey={s86}==;",
    "azure_app_configuration_secret": "Endpoint=https://a.azconfig.io;Id=ab-l0;Secret={s43}=",
    "azure_sas_signature": "https://a.blob.core.windows.net/c?sv=2022&sig={s43}%3D",
    "azure_client_secret": "{a3}8Q~{b34}",
    "azure_cognitive_key": "{a52}JQQJ99{a26}",
    "azure_devops_token": "{a52}AZDO{a24}",
    "azure_devops_pat": "azure_pat={t52}",
    "digitalocean_token": "dop_v1_{h64}",
    "alibaba_access_key_id": "LTAI{a20}",
    "tencent_secret_id": "AKID{a32}",
    "cloudflare_origin_ca_key": "v1.0-{h24}-{h146}",
    "cloudflare_api_token": "CLOUDFLARE_API_TOKEN={b40}",
    "heroku_api_key": "HRKU-{b60}",
    "heroku_legacy_key": "heroku_key: {uuid}",
    "flyio_token": "fo1_{b43}",
    "render_api_key": "rnd_{a32}",
    "netlify_token": "nfp_{a40}",
    "scalingo_token": "tk-us-{b48}",
    "scaleway_secret_key": "scaleway_secret={uuid}",
    "yandex_cloud_key": "AQVN{b36}",
    "yandex_oauth_token": "y0_{b58}",
    "yandex_iam_token": "t1.{a100}.{b86}",
    "databricks_token": "dapi{h32}",
    "planetscale_token": "pscale_tkn_{b43}",
    "supabase_token": "sbp_{h40}",
    "supabase_secret_key": "sb_secret_{b31}",
    "neon_api_key": "napi_{l64}",
    "clickhouse_cloud_secret": "4b1d{a38}",
    "doppler_token": "dp.pt.{a43}",
    "vault_token": "hvs.{b90}",
    "terraform_cloud_token": "{a14}.atlasv1.{b67}",
    "pulumi_token": "pul-{h40}",
    "infracost_token": "ico-{a32}",
    "tailscale_key": "tskey-auth-{a12}-{a32}",
    "docker_hub_token": "dckr_pat_{b27}",
    "openshift_token": "sha256~{b43}",
    "kubernetes_bootstrap_token": "kubeadm join --token {l6}.{l16}",
    "onepassword_service_token": "ops_eyJ{b300}",
    "onepassword_secret_key": "A3-{u6}-{u6}-{u5}-{u5}-{u5}-{u5}",
    "confluent_secret": "cflt{s60}",
    "mongodb_atlas_private_key": "atlas_key={uuid}",
    "mongodb_private_key": "private_key={uuid}",
    "prefect_api_key": "pnu_{a36}",
    "dbt_token": "dbtc_{b40}",
    "snowflake_token": "ver:1-hint:{d8}-ETMsDgAAA{s100}",
    # code
    "github_personal_token": "ghp_{a30}{crc}",
    "github_oauth_token": "gho_{a30}{crc}",
    "github_user_token": "ghu_{a30}{crc}",
    "github_server_token": "ghs_{a30}{crc}",
    "github_refresh_token": "ghr_{a70}",
    "github_fine_grained_token": "github_pat_{a22}_{a59}",
    "github_legacy_token": "github_token={h40}",
    "gitlab_token": "glpat-{b20}",
    "gitlab_feature_flag_token": "glffct-{b20}",
    "gitlab_runner_registration_token": "GR1348941{b20}",
    "bitbucket_app_password": "ATBB{a32}",
    "bitbucket_access_token": "ATCTT3xFf{b170}",
    "bitbucket_http_token": "BBDC-{s44}",
    "atlassian_api_token": "ATATT3xFf{b180}",
    "atlassian_legacy_token": "jira_token={a24}",
    "npm_token": "npm_{a30}{crc}",
    "npm_registry_auth": "//registry.example.org/:_authToken={b36}",
    "pypi_token": "pypi-AgE{b160}",
    "rubygems_key": "rubygems_{h48}",
    "nuget_key": "oy2{l43}",
    "crates_io_token": "cio{a32}",
    "clojars_token": "CLOJARS_{h60}",
    "circleci_token": "CCIPAT_{a22}_{h40}",
    "buildkite_token": "bkua_{h40}",
    "harness_token": "pat.{b22}.{h24}.{a20}",
    "sonar_token": "sqp_{h40}",
    "sonar_login": "sonar.login={a40}",
    "sourcegraph_token": "sgp_{h16}_{h40}",
    "segment_token": "sgp_{a64}",
    "jfrog_api_key": "AKCp{a69}",
    "jfrog_reference_token": "cmVmdGtu{a56}",
    "artifactory_password": "artifactory: AP6{a40}",
    "postman_key": "PMAK-{h24}-{h34}",
    "postman_collection_key": "PMAT-{u26}",
    "readme_key": "rdme_{l70}",
    "launchdarkly_key": "sdk-{uuid}",
    "sentry_org_token": "sntrys_eyJ{s120}",
    "sentry_user_token": "sntryu_{h64}",
    "sentry_legacy_token": "SENTRY_AUTH_TOKEN={h64}",
    "newrelic_user_key": "NRAK-{u27}",
    "newrelic_key": "NRII-{a32}",
    "newrelic_mobile_token": "AA{h40}-NRMA",
    "grafana_service_account": "glsa_{a32}_{h8}",
    "grafana_cloud_token": "glc_{s120}",
    "grafana_api_key": "eyJrIjoi{s80}",
    "honeycomb_key": "hcaik_{l58}",
    "dynatrace_token": "dt0c01.{u24}.{u64}",
    "datadog_key": "DATADOG_API_KEY={h32}",
    "opsgenie_key": "opsgenie_key={uuid}",
    "pagerduty_key": "pagerduty_key={a20}",
    "codecov_token": "CODECOV_TOKEN={uuid}",
    "coveralls_token": "coveralls_token: {a32}",
    "travis_token": "travis_token={a22}",
    "snyk_token": "SNYK_TOKEN={uuid}",
    "rollbar_token": "rollbar_token={h32}",
    "linear_api_key": "lin_api_{a40}",
    "notion_token": "ntn_{a46}",
    "airtable_token": "pat{a14}.{h64}",
    "figma_token": "figd_{b40}",
    "figma_legacy_token": "figma_token={uuid}",
    "asana_secret": "asana_secret={h32}",
    "asana_token": "asana: 1/{d16}:{h32}",
    "clickup_token": "pk_{d8}_{u32}",
    "contentful_token": "CFPAT-{b43}",
    "typeform_token": "tfp_{b44}",
    "mapbox_token": "sk.eyJ{a80}.{b22}",
    "sumologic_access_id": "sumo id su{a12}",
    "apify_token": "apify_api_{a36}",
    "brave_search_key": "BSA{b28}",
    "nightfall_key": "NF-{a32}",
    "posthog_key": "phx_{a44}",
    # models
    "openai_key": "sk-{a20}T3BlbkFJ{a20}",
    "openai_project_key": "sk-proj-{b120}",
    "anthropic_key": "sk-ant-api03-{b95}",
    "secret_key_sk": "sk-{a48}",
    "openrouter_key": "sk-or-v1-{h64}",
    "huggingface_token": "hf_{a34}",
    "replicate_token": "r8_{a37}",
    "groq_key": "gsk_{a52}",
    "perplexity_key": "pplx-{a48}",
    "xai_key": "xai-{a80}",
    "fireworks_key": "fw_{a24}",
    "nvidia_key": "nvapi-{b64}",
    "langsmith_key": "lsv2_pt_{h32}_{h10}",
    "pinecone_key": "pcsk_{a70}",
    "elevenlabs_key": "sk_{h48}",
    "jina_key": "jina_{l32}{b28}",
    "tavily_key": "tvly-{a32}",
    "llama_cloud_key": "llx-{a48}",
    "llama_api_key": "LLM|{d16}|{b27}",
    "firecrawl_key": "fc-{h32}",
    "langfuse_key": "sk-lf-{uuid}",
    "cerebras_key": "csk-{l48}",
    "voyage_key": "pa-{b43}",
    "cohere_key": "COHERE_API_KEY={a40}",
    "mistral_key": "MISTRAL_API_KEY={a32}",
    "wandb_key": "WANDB_API_KEY={h40}",
    "assemblyai_key": "assemblyai_key={h32}",
    "deepgram_key": "deepgram_key={h40}",
    "together_key": "TOGETHER_API_KEY={h64}",
    # chat
    "slack_bot_token": "xoxb-{d12}-{d12}-{a24}",
    "slack_user_token": "xoxp-{d12}-{d12}-{d12}-{h32}",
    "slack_legacy_token": "xoxr-{d12}-{d12}-{a24}",
    "slack_browser_token": "xoxc-{d12}-{d12}-{d12}-{h64}",
    "slack_cookie": "xoxd-{a120}",
    "slack_config_token": "xoxe.xoxp-1-{a160}",
    "slack_app_token": "xapp-1-A{u10}-{d13}-{h64}",
    "slack_webhook": "https://hooks.slack.com/services/T{u10}/B{u10}/{a24}",
    "discord_bot_token": "{discord}",
    "discord_webhook": "https://discord.com/api/webhooks/{d18}/{b68}",
    "telegram_bot_token": "telegram {d10}:AA{b33}",
    "teams_webhook": "https://a1.webhook.office.com/webhookb2/{uuid}@{uuid}/"
    "IncomingWebhook/{h32}/{uuid}",
    "zapier_webhook": "https://hooks.zapier.com/hooks/catch/{d7}/{l7}/",
    "google_chat_webhook": "https://chat.googleapis.com/v1/spaces/{a11}/"
    "messages?key={b39}&token={b43}",
    "twilio_api_key": "SK{h32}",
    "twilio_auth_token": "TWILIO_AUTH_TOKEN={h32}",
    "sendgrid_key": "SG.{b22}.{b43}",
    "mailgun_key": "key-{h32}",
    "mailgun_token": "mailgun api {h32}-{h8}-{h8}",
    "mailchimp_key": "{h32}-us12",
    "brevo_key": "xkeysib-{h64}-{a16}",
    "resend_key": "re_{a8}_{a24}",
    "mandrill_key": "md-{b22}",
    "postmark_token": "POSTMARK_TOKEN={uuid}",
    "messagebird_key": "messagebird_key={a25}",
    "vonage_secret": "vonage_secret={a16}",
    "facebook_access_token": "EAA{a150}",
    "facebook_app_token": "access_token={d15}|{b27}",
    "facebook_secret": "facebook_secret={h32}",
    "twitter_bearer_token": "AAAAAAAAAAAAAAAAAAAAA{a60}%3D{a30}",
    "twitter_secret": "twitter_secret={a45}",
    "hubspot_token": "pat-na1-{uuid}",
    "hubspot_key": "hubspot_key={uuid}",
    "intercom_token": "intercom_token={a60}",
    "line_channel_secret": "line_secret={h32}",
    "linkedin_secret": "linkedin_secret={a16}",
    "intra42_secret": "s-s4t2ud-{h64}",
    "beamer_key": "beamer b_{b44}",
    # payment
    "stripe_live_key": "sk_live_{a24}",
    "stripe_test_key": "rk_test_{a99}",
    "stripe_webhook_secret": "whsec_{a32}",
    "square_access_token": "EAAA{b60}",
    "square_oauth_secret": "sq0csp-{b43}",
    "shopify_token": "shpat_{h32}",
    "braintree_token": "access_token$production${l16}${h32}",
    "paypal_secret": "paypal EL{b77}",
    "plaid_token": "access-production-{uuid}",
    "plaid_secret": "plaid_secret={h30}",
    "paystack_key": "sk_live_{h40}",
    "flutterwave_key": "FLWSECK_TEST-{l32}-X",
    "razorpay_key": "rzp_live_{a14}",
    "mollie_key": "live_{a30}",
    "gocardless_token": "live_{b40}",
    "adyen_key": "AQEy{s90}-{s44}-{a16}",
    "checkout_key": "sk_sbox_{t26}*",
    "easypost_key": "EZAK{a54}",
    "shippo_key": "shippo_live_{h40}",
    "duffel_token": "duffel_test_{b43}",
    "lob_key": "test_{h35}",
    "klarna_key": "klarna_live_api_{a60}",
    "frameio_token": "fio-u-{b64}",
    "coinbase_secret": "coinbase_secret={b64}",
    "binance_secret": "binance_secret={a64}",
    "kraken_secret": "kraken_secret={s86}==",
    "etherscan_key": "ETHERSCAN_KEY={u34}",
    "infura_key": "infura_key={h32}",
    "alchemy_key": "alcht_{a32}",
    "amplitude_key": "amplitude_key={h32}",
    # keys, tokens, passwords where they stand
    "private_key": "{pem}",
    "putty_private_key": "PuTTY-User-Key-File-2: ssh-rsa\nLines: 1\n{s64}\nPrivate-MAC: {h40}",
    "age_secret_key": "AGE-SECRET-KEY-1{q58}",
    "nkey_seed": "nats nkey SU{B56}",
    "minisign_secret_key": "RWRTY0Iy{s120}",
    "json_web_key": '{"kty":"RSA","n":"abc","d":"{b80}"}',
    "json_web_token": "{jwt}",
    "json_web_token_encoded": "ZXlK{a120}",
    "password_in_url": "postgres://app:{a16}@db.internal:5432/app",
    "bearer_token": "Authorization: Bearer {a40}",
    "authorization_value": "Authorization: ApiToken {a40}",
    "basic_credentials": "Authorization: Basic {basic}",
    "docker_registry_auth": '{"auths":{"r.example.org":{"auth": "{basic}"}}}',
    "curl_credentials": "curl -u alice:{a12} https://a.example.org/",
    "command_line_password": "tool --passphrase {a12} run",
    "remote_command_password": "sshpass -p {a12} ssh host",
    "netrc_password": "machine a.example.org login alice password {a12}",
    "sql_password": "CREATE USER app IDENTIFIED BY '{a12}';",
    "powershell_password": "ConvertTo-SecureString -String '{a12}' -AsPlainText",
    "connection_string_password": "Server=db;Uid=app;Pwd={a12};Database=x",
    "password_hash": "$6$rounds=5000${a12}${a86}",
    "htpasswd_sha": "{SHA}{s27}=",
    "ntlm_hash": "admin:500:{h32}:{h32}:::",
    "one_time_password_seed": "otp secret: {B32}",
    "kubernetes_secret_value": "kind: Secret\ndata:\n  dbpw: {s24}\n",
    # by the name of the service
    "adafruit_key": "adafruit_key=aio_{a28}",
    "algolia_key": "algolia_key={h32}",
    "auth0_secret": "auth0_secret={b64}",
    "bitly_token": "bitly_token={h40}",
    "contentful_legacy_token": "contentful_token={b43}",
    "dependency_track_key": "dependency_track_key=odt_{a32}",
    "dropbox_token": "dropbox_token={b64}",
    "etsy_key": "etsy_key={l24}",
    "fastly_token": "fastly_token={b32}",
    "jenkins_token": "jenkins_token=11{h32}",
    "jumpcloud_key": "jumpcloud_key={a40}",
    "looker_secret": "looker_secret={a24}",
    "newrelic_legacy_key": "newrelic_key={h40}",
    "okta_token": "okta_token=00{b40}",
    "openweather_key": "openweather_key={l32}",
    "pivotal_tracker_token": "pivotal_token={h32}",
    "pushbullet_token": "pushbullet_token=o.{a32}",
    "rapidapi_key": "rapidapi_key={a50}",
    "sauce_labs_key": "sauce_key={uuid}",
    "browserstack_key": "browserstack_key={a20}",
    "shodan_key": "shodan_key={a32}",
    "splunk_token": "splunk_token={uuid}",
    "sumologic_key": "sumo_key={a64}",
    "trello_token": "trello_token={h64}",
    "virustotal_key": "virustotal_key={h64}",
    "yelp_key": "yelp_key={b128}",
    "youtube_key": "youtube_key=AIza{b35}",
    "zendesk_token": "zendesk_token={a40}",
    "zoho_token": "1000.{h32}.{h32}",
    "ipstack_key": "ipstack_key={h32}",
    "mapquest_key": "mapquest_key={a32}",
    "meraki_dashboard_key": "meraki_key={h40}",
    "statuspage_key": "statuspage_key={uuid}",
    "ibm_cloud_key": "ibm_cloud_key={b44}",
    "consul_token": "consul_token={uuid}",
    "finicity_key": "finicity_key={h32}",
    "squarespace_key": "squarespace_key={uuid}",
    "zerotier_token": "zerotier_token={a32}",
    # by the name of the value
    "password": 'password: "{a10}"',
    "named_secret": "wibble_secret = {a28}",
    "secret_apart": "started with the secret {a32} of wibble",
    "named_value": '{"name": "DB_PASSWORD", "value": "{a14}"}',
    "spoken_password": "the password is {a12} for now",
}
