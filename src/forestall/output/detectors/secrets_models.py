"""Credentials of services that run models and of what is built round them."""

from forestall.output.detectors.checks import looks_random
from forestall.output.detectors.shapes import HEX, UUID, named, token
from forestall.output.findings import Kind

KINDS: tuple[Kind, ...] = (
    token(
        "openai_key",
        r"sk-(?:proj-|svcacct-|admin-|None-)?[\w-]{15,110}T3BlbkFJ[\w-]{16,}",
        "t3blbkfj",
        shown=3,
        before=130,
    ),
    Kind(
        name="openai_project_key",
        pattern=r"\b(sk-(?:proj|svcacct|admin)-[\w-]{40,})",
        keywords=("sk-proj-", "sk-svcacct-", "sk-admin-"),
        shown=8,
        check=looks_random(0.9, skip=8, length_min=40),
    ),
    token("anthropic_key", r"sk-ant-(?:api|admin|oat|ort)[0-9]{2}-[\w-]{80,}", "sk-ant-", shown=7),
    token(
        "secret_key_sk",
        r"sk-[A-Za-z0-9]{32,64}",
        "sk-",
        shown=3,
        sure=0.8,
        check=looks_random(0.8, skip=3, length_min=32),
    ),
    token("openrouter_key", rf"sk-or-v1-{HEX}{{64}}", "sk-or-v1-", shown=9),
    token(
        "huggingface_token",
        r"(?:hf|api_org)_[A-Za-z0-9]{34,40}",
        "hf_",
        "api_org_",
        shown=3,
        check=looks_random(0.95, skip=3, length_min=30),
    ),
    token("replicate_token", r"r8_[A-Za-z0-9]{37}", "r8_", shown=3),
    token("groq_key", r"gsk_[A-Za-z0-9]{52}", "gsk_", shown=4),
    token("perplexity_key", r"pplx-[A-Za-z0-9]{48,56}", "pplx-", shown=5),
    token("xai_key", r"xai-[A-Za-z0-9]{70,90}", "xai-", shown=4),
    token("fireworks_key", r"fw_[A-Za-z0-9]{22,40}", "fw_", shown=3),
    token("nvidia_key", r"nvapi-[\w-]{60,72}", "nvapi-", shown=6),
    token("langsmith_key", rf"lsv2_(?:pt|sk)_{HEX}{{32}}_{HEX}{{10}}", "lsv2_", shown=8),
    token("pinecone_key", r"pcsk_[A-Za-z0-9_]{60,80}", "pcsk_", shown=5),
    token("elevenlabs_key", rf"sk_{HEX}{{48}}", "sk_", shown=3),
    token("jina_key", r"jina_[a-z0-9]{32}[\w-]{28}", "jina_", shown=5),
    token("tavily_key", r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{32}", "tvly-", shown=5),
    token("llama_cloud_key", r"llx-[A-Za-z0-9]{44,52}", "llx-", shown=4),
    token("llama_api_key", r"LLM\|[0-9]{10,20}\|[\w-]{20,40}", "llm|", shown=4),
    token("firecrawl_key", rf"fc-{HEX}{{32}}", "fc-", shown=3),
    token("langfuse_key", rf"sk-lf-{UUID}", "sk-lf-", shown=6),
    token("cerebras_key", r"csk-[a-z0-9]{48}", "csk-", shown=4),
    token(
        "voyage_key",
        r"pa-[\w-]{43}",
        "pa-",
        shown=3,
        check=looks_random(0.85, skip=3, length_min=43),
    ),
    named("cohere_key", "(?:cohere|co_api)", "[A-Za-z0-9]{40}", "cohere", "co_api"),
    named("mistral_key", "mistral", "[A-Za-z0-9]{32}"),
    named("wandb_key", "(?:wandb|weights.?and.?biases)", rf"{HEX}{{40}}", "wandb", "weights"),
    named("assemblyai_key", "assemblyai", rf"{HEX}{{32}}"),
    named("deepgram_key", "deepgram", rf"{HEX}{{40}}"),
    named("together_key", "together", rf"{HEX}{{64}}"),
)
