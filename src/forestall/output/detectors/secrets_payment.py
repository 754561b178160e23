"""Credentials of payment, shops and shipping."""

from forestall.output.detectors.checks import looks_random
from forestall.output.detectors.shapes import HEX, UUID, named, token
from forestall.output.findings import Kind

KINDS: tuple[Kind, ...] = (
    token("stripe_live_key", r"[sr]k_live_[A-Za-z0-9]{16,}", "sk_live_", "rk_live_", shown=8),
    token("stripe_test_key", r"[sr]k_test_[A-Za-z0-9]{16,}", "sk_test_", "rk_test_", shown=8),
    token("stripe_webhook_secret", r"whsec_[A-Za-z0-9+/=]{32,64}", "whsec_", shown=6),
    token(
        "square_access_token",
        r"EAAA[\w=-]{56,64}",
        "eaaa",
        shown=4,
        check=looks_random(0.9, skip=4, length_min=50),
    ),
    token(
        "square_oauth_secret", r"sq0[a-z]{3}-[\w-]{22,48}", "sq0atp-", "sq0csp-", "sq0idp-", shown=7
    ),
    token(
        "shopify_token",
        rf"shp(?:at|ca|pa|ss|tka)_{HEX}{{32}}",
        "shpat_",
        "shpca_",
        "shppa_",
        "shpss_",
        "shptka_",
        shown=6,
    ),
    token(
        "braintree_token",
        rf"access_token\$(?:production|sandbox)\$[0-9a-z]{{16}}\${HEX}{{32}}",
        "access_token$",
        shown=13,
    ),
    token("paypal_secret", r"E[A-Z][\w-]{76,78}", "paypal"),
    token(
        "plaid_token",
        rf"access-(?:sandbox|development|production)-{UUID}",
        "access-sandbox-",
        "access-development-",
        "access-production-",
        shown=7,
    ),
    named("plaid_secret", "plaid", rf"{HEX}{{30}}"),
    token("paystack_key", rf"sk_(?:live|test)_{HEX}{{40}}", "sk_live_", "sk_test_", shown=8),
    token("flutterwave_key", r"FLWSECK(?:_TEST)?-[a-z0-9]{12,44}(?:-X)?", "flwseck", shown=7),
    token(
        "razorpay_key", r"rzp_(?:live|test)_[A-Za-z0-9]{14,24}", "rzp_live_", "rzp_test_", shown=9
    ),
    token(
        "mollie_key",
        r"(?:live|test)_[A-Za-z0-9]{30,35}",
        "live_",
        "test_",
        shown=5,
        sure=0.85,
        check=looks_random(0.85, skip=5, length_min=30),
    ),
    token(
        "gocardless_token",
        r"live_[\w=-]{40}",
        "live_",
        shown=5,
        check=looks_random(0.85, skip=5, length_min=40),
    ),
    token(
        "adyen_key",
        r"AQE[a-z][A-Za-z0-9+/=]{60,}-[A-Za-z0-9+/=]{40,60}-[\w+/=?<>{}()&!@#$%^*;:,.~-]{10,20}",
        "aqe",
        shown=3,
    ),
    token(
        "checkout_key",
        r"sk_(?:sbox_)?[a-z2-7]{26}[a-z2-7*#$=]",
        "sk_",
        shown=3,
        sure=0.8,
        check=looks_random(0.8, skip=3),
    ),
    token("easypost_key", r"EZ[AT]K[A-Za-z0-9]{54,58}", "ezak", "eztk", shown=4),
    token("shippo_key", rf"shippo_(?:live|test)_{HEX}{{40}}", "shippo_", shown=12),
    token("duffel_token", r"duffel_(?:live|test)_[\w=-]{43}", "duffel_", shown=12),
    token("lob_key", rf"(?:live|test)_(?:pub_)?{HEX}{{35}}", "live_", "test_", shown=5),
    token("klarna_key", r"klarna_(?:live|test)_api_[A-Za-z0-9+/=-]{20,}", "klarna_", shown=12),
    token("frameio_token", r"fio-u-[\w=-]{64}", "fio-u-", shown=6),
    named("coinbase_secret", "coinbase", r"[\w-]{32,64}={0,2}"),
    named("binance_secret", "binance", "[A-Za-z0-9]{64}"),
    named("kraken_secret", "kraken", "[A-Za-z0-9/+=]{80,90}"),
    named("etherscan_key", "etherscan", "[A-Z0-9]{34}"),
    named("infura_key", "infura", rf"{HEX}{{32}}"),
    token("alchemy_key", r"alcht_[A-Za-z0-9]{30,36}", "alcht_", shown=6),
    named("amplitude_key", "amplitude", rf"{HEX}{{32}}"),
)
