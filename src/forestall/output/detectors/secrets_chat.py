"""Credentials of chat, mail, telephony and social services."""

import binascii

from forestall.output.detectors.checks import looks_random, not_placeholder, random
from forestall.output.detectors.shapes import HEX, UUID, named, token
from forestall.output.findings import Candidate, Kind


def _discord(found: Candidate) -> float | None:
    """The first part of a bot's token is its numeric id in base64."""
    if not random(found.value, length_min=50):
        return None
    head = found.value.split(".")[0]
    try:
        plain = binascii.a2b_base64(head + "=" * (-len(head) % 4))
    except binascii.Error:
        return 0.7
    return 0.97 if plain.isdigit() else 0.7


def _telegram(found: Candidate) -> float | None:
    body = found.value.split(":")[1]
    return (0.95 if body.startswith("AA") else 0.75) if random(body) else None


KINDS: tuple[Kind, ...] = (
    token(
        "slack_bot_token",
        r"xoxb-[\w-]{20,}",
        "xoxb-",
        shown=5,
        check=not_placeholder(0.95, skip=5),
    ),
    token("slack_user_token", r"xoxp-[\w-]{20,}", "xoxp-", shown=5),
    token(
        "slack_legacy_token",
        r"xox[aores]-[0-9][\w-]{16,}",
        *("xoxa-", "xoxo-", "xoxr-", "xoxe-", "xoxs-"),
        shown=5,
    ),
    token("slack_browser_token", r"xoxc-[\w-]{30,}", "xoxc-", shown=5),
    token("slack_cookie", r"xoxd-[\w%+/=-]{30,}", "xoxd-", shown=5),
    token("slack_config_token", r"xoxe(?:\.xox[bp])?-[0-9]-[\w-]{100,}", "xoxe", shown=4),
    token(
        "slack_app_token",
        r"xapp-[0-9]-[A-Z0-9]{8,14}-[0-9]{8,16}-[a-z0-9]{40,80}",
        "xapp-",
        shown=5,
    ),
    Kind(
        name="slack_webhook",
        pattern=r"(https?://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)"
        r"/[A-Za-z0-9]{8,14}/[A-Za-z0-9]{8,20}/[A-Za-z0-9]{16,60})",
        keywords=("hooks.slack",),
        check=not_placeholder(0.95, skip=30),
        shown=24,
    ),
    token(
        "discord_bot_token",
        r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}",
        sure=0.9,
        check=_discord,
    ),
    Kind(
        name="discord_webhook",
        pattern=r"(https://(?:\w{2,8}\.)?discord(?:app)?\.com/api/(?:v[0-9]{1,2}"
        r"/)?webhooks/[0-9]{17,20}/[\w-]{60,80})",
        keywords=("/webhooks/",),
        before=90,
        check=not_placeholder(0.95, skip=33),
        shown=33,
    ),
    Kind(
        name="telegram_bot_token",
        pattern=r"(?:^|[^0-9])([0-9]{8,10}:[\w-]{35})(?:[^\w-]|$)",
        keywords=(":aa", "telegram"),
        before=24,
        after=90,
        check=_telegram,
    ),
    Kind(
        name="teams_webhook",
        pattern=r"(https://[\w-]{1,60}\.webhook\.office\.com/webhookb2/[\w@-]{36,}/"
        r"IncomingWebhook/[0-9a-f]{32}/[0-9a-f-]{36})",
        keywords=("webhook.office.com",),
        check=not_placeholder(0.95, skip=40),
        shown=8,
    ),
    Kind(
        name="zapier_webhook",
        pattern=r"(https://(?:www\.)?hooks\.zapier\.com/hooks/catch/"
        r"[A-Za-z0-9]{4,12}/[A-Za-z0-9/]{5,40})",
        keywords=("hooks.zapier.com",),
        check=not_placeholder(0.9, skip=36),
        shown=24,
    ),
    Kind(
        name="google_chat_webhook",
        pattern=r"(https://chat\.googleapis\.com/v1/spaces/[\w-]{8,20}/"
        r"messages\?key=[\w-]{30,60}&token=[\w%-]{30,80})",
        keywords=("chat.googleapis.com",),
        check=not_placeholder(0.95, skip=60),
        shown=27,
    ),
    token(
        "twilio_api_key",
        rf"SK{HEX}{{32}}",
        "sk",
        shown=2,
        sure=0.85,
        check=looks_random(0.85, skip=2, length_min=32),
    ),
    named("twilio_auth_token", "twilio", rf"{HEX}{{32}}"),
    token("sendgrid_key", r"SG\.[\w-]{16,24}\.[\w-]{32,64}", "sg.", shown=3),
    token("mailgun_key", rf"key-{HEX}{{32}}", "key-", shown=4),
    Kind(
        name="mailgun_token",
        pattern=rf"(?i:mailgun)[^\n]{{0,60}}?\b({HEX}{{32}}-{HEX}{{8}}-{HEX}{{8}})\b",
        keywords=("mailgun",),
    ),
    token(
        "mailchimp_key",
        rf"{HEX}{{32}}-us[0-9]{{1,2}}",
        "-us",
        sure=0.95,
        check=looks_random(0.95, length_min=32),
    ),
    token(
        "brevo_key",
        rf"x(?:keysib|smtpsib)-{HEX}{{64}}-[A-Za-z0-9]{{16}}",
        "xkeysib-",
        "xsmtpsib-",
        shown=8,
    ),
    token("resend_key", r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}", "re_", shown=3),
    token("mandrill_key", r"md-[\w-]{22}", "md-", shown=3, check=looks_random(0.8, skip=3)),
    named("postmark_token", "postmark", UUID),
    named("messagebird_key", "message_?bird", "[A-Za-z0-9]{25}", "messagebird", "message_bird"),
    named("vonage_secret", "(?:vonage|nexmo)", "[A-Za-z0-9]{16}", "vonage", "nexmo"),
    token(
        "facebook_access_token",
        r"EAA[A-Za-z0-9]{80,}",
        "eaa",
        shown=3,
        check=looks_random(0.95, skip=3, length_min=80),
    ),
    token(
        "facebook_app_token",
        r"[0-9]{13,17}\|[\w-]{27}",
        "facebook",
        "fb",
        "access_token",
        sure=0.85,
        check=looks_random(0.85),
    ),
    named("facebook_secret", "(?:facebook|fb)", rf"{HEX}{{32}}", "facebook", "fb"),
    token(
        "twitter_bearer_token",
        r"AAAAAAAAAAAAAAAAAAAAA[A-Za-z0-9%]{60,}",
        *("%3d", "%2b", "%2f"),
        before=140,
        shown=21,
        check=looks_random(0.95, skip=21),
    ),
    named("twitter_secret", "twitter", "[A-Za-z0-9]{35,50}"),
    token("hubspot_token", rf"pat-(?:na|eu|ap)[0-9]-{UUID}", "pat-na", "pat-eu", "pat-ap", shown=8),
    named("hubspot_key", "hubspot", UUID),
    named("intercom_token", "intercom", r"[A-Za-z0-9=_-]{50,70}"),
    named("line_channel_secret", "line", rf"{HEX}{{32}}", "line_", "line-"),
    named("linkedin_secret", "linkedin", "[A-Za-z0-9]{16}"),
    token("intra42_secret", rf"s-s4t2(?:ud|af)-{HEX}{{64}}", "s-s4t2", shown=7),
    token("beamer_key", r"b_[\w=-]{44}", "beamer", shown=2),
)
