"""Keys without a form of their own, known by the name of the service that stands beside them."""

from forestall.output.detectors.shapes import UUID, named, token
from forestall.output.findings import Kind

_HEX32, _HEX40, _HEX64 = (rf"[0-9a-f]{{{size}}}" for size in (32, 40, 64))
_ALNUM32, _ALNUM40 = (rf"[A-Za-z0-9]{{{size}}}" for size in (32, 40))

KINDS: tuple[Kind, ...] = (
    named("adafruit_key", "adafruit", r"(?:aio_)?[A-Za-z0-9]{28,32}"),
    named("algolia_key", "algolia", _HEX32),
    named("auth0_secret", "auth0", r"[\w-]{64}"),
    named("bitly_token", "bitly", _HEX40),
    named("contentful_legacy_token", "contentful", r"[\w-]{43}"),
    named(
        "dependency_track_key",
        "(?:dependency.?track|odt)",
        r"(?:odt_)?[A-Za-z0-9]{32,40}",
        "dependency",
        "odt_",
    ),
    named("dropbox_token", "dropbox", r"(?:sl\.[\w-]{100,}|[A-Za-z0-9_-]{64}|[a-z0-9]{15})"),
    named("etsy_key", "etsy", "[a-z0-9]{24}"),
    named("fastly_token", "fastly", r"[\w-]{32}"),
    named("jenkins_token", "jenkins", r"(?:11[0-9a-f]{32}|[0-9a-f]{32,34})"),
    named("jumpcloud_key", "jumpcloud", "[A-Za-z0-9]{40}"),
    named("looker_secret", "looker", "[A-Za-z0-9]{24}"),
    named("newrelic_legacy_key", "new_?relic", r"[0-9a-f]{36,47}", "newrelic", "new_relic"),
    named("okta_token", "okta", r"00[\w-]{40}"),
    named("openweather_key", "openweather", _ALNUM32),
    named("pivotal_tracker_token", "pivotal", _HEX32),
    named("pushbullet_token", "pushbullet", r"o\.[A-Za-z0-9]{32,34}|[A-Za-z0-9_.]{34}"),
    named("rapidapi_key", "rapid_?api", "[A-Za-z0-9]{50}", "rapidapi", "rapid_api"),
    named("sauce_labs_key", "sauce", UUID),
    named("browserstack_key", "browserstack", "[A-Za-z0-9]{20}"),
    named("shodan_key", "shodan", _ALNUM32),
    named("splunk_token", "splunk", rf"(?:{UUID}|[\w-]{{22}})"),
    named("sumologic_key", "sumo", "[A-Za-z0-9]{64}"),
    named("trello_token", "trello", rf"(?:ATTA)?(?:{_HEX64}|{_HEX32})"),
    named("virustotal_key", "virus_?total", _HEX64, "virustotal", "virus_total"),
    named("yelp_key", "yelp", r"[\w-]{128}"),
    named("youtube_key", "youtube", r"AIza[\w-]{35}"),
    named("zendesk_token", "zendesk", _ALNUM40),
    token("zoho_token", r"1000\.[0-9a-f]{32}\.[0-9a-f]{32}", "1000.", shown=5),
    named("ipstack_key", "ip_?stack", _HEX32, "ipstack", "ip_stack"),
    named("mapquest_key", "mapquest", _ALNUM32),
    named("meraki_dashboard_key", "meraki", _HEX40),
    named("statuspage_key", "statuspage", r"[0-9a-f-]{36}"),
    named("ibm_cloud_key", "(?:ibm|bluemix)", r"[\w-]{44}", "ibm", "bluemix"),
    named("consul_token", "(?:consul|nomad)", UUID, "consul", "nomad"),
    named("finicity_key", "finicity", _HEX32),
    named("squarespace_key", "squarespace", UUID),
    named("zerotier_token", "zerotier", _ALNUM32),
)
