"""Deployments at Azure, Amazon Bedrock and Google Vertex: LiteLLM spreads over many keys what stands in an address and a credential here.

Each function fills in one row. It is told the model's name without LiteLLM's prefix, and raises :class:`NotCarriedError`.
"""

from __future__ import annotations

import re

from msgspec import structs

from trimtab import catalog
from trimtab.config.importing.litellm.document import Section, variable
from trimtab.config.importing.litellm.draft import Draft, NotCarriedError, our_address
from trimtab.config.importing.toml import Value

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_VERSION = re.compile(r"(?<=api-version=)[\w-]+")
_PLACE = re.compile(r"[\w.-]+")
_KEY_FILE = re.compile(r"[\w./~ -]+\.json")
_V1 = frozenset({"v1", "latest", "preview"})


def azure(draft: Draft, params: Section, model: str, row: dict[str, Value]) -> None:
    row["model"] = model
    if "base_url" not in row:
        base = our_address(draft.account.env.get("AZURE_API_BASE", "").strip(), "root")
        if not base:
            raise NotCarriedError(
                "act", "Its address is not known: there is no api_base.", "Add the resource's address and import again."
            )
        row["base_url"] = base
    _azure_version(draft, params, row)
    if "client_secret" in params and "api_key" not in params:
        tenant, client = params.text("tenant_id"), params.text("client_id")
        if tenant is None or client is None:
            raise NotCarriedError("act", "tenant_id or client_id is missing.", "Add it and import again.")
        secret = draft.reference(params, "client_secret", f"{row['id']}_CLIENT_SECRET")
        row["credentials"] = [{"entra_tenant": tenant, "entra_client_id": client, "entra_client_secret": secret}]
        params.carry("deployment.credentials", "tenant_id", "client_id", "client_secret")


def _azure_version(draft: Draft, params: Section, row: dict[str, Value]) -> None:
    """The version stands in a provider's paths, so another version is another provider."""
    shipped = catalog.providers()["azure"]
    version = params.text("api_version") or draft.account.env.get("AZURE_API_VERSION", "").strip()
    params.carry("provider.paths", "api_version")
    if not version:
        return
    if version in _V1:
        row["provider"], row["base_url"] = "azure-v1", f"{row['base_url']}/openai/v1"
        return
    if not re.fullmatch(r"[\w-]+", version):
        raise NotCarriedError("act", "Its api_version is none.", "Correct it and import again.")
    paths = {dialect: _VERSION.sub(version, path) for dialect, path in shipped.paths.items()}
    if paths != shipped.paths:
        row["provider"] = draft.provider(structs.replace(shipped, name=f"azure-{version}", paths=paths))


def bedrock(draft: Draft, params: Section, model: str, row: dict[str, Value]) -> None:
    route, _, rest = model.partition("/")
    region = None
    if route in ("converse", "invoke", "converse_like", "bedrock"):
        model = rest
    elif _REGION.fullmatch(route):
        region, model = route, rest
    elif rest and not model.startswith("arn:"):
        raise NotCarriedError("left", "Of Bedrock's routes Trimtab speaks Converse and Anthropic's.", "Ask for the model itself.")
    if route == "invoke":
        if "anthropic" not in model:
            raise NotCarriedError("left", "Of InvokeModel's bodies Trimtab speaks Anthropic's alone.", "Use the route converse.")
        row["provider"] = "bedrock-anthropic"
    row["model"] = model
    region = params.text("aws_region_name") or region
    region = region or next((found for name in ("AWS_REGION_NAME", "AWS_REGION") if (found := draft.account.env.get(name))), None)
    if region is None or not _PLACE.fullmatch(region):
        raise NotCarriedError("act", "Its region is not known.", "Add aws_region_name and import again.")
    row["region"] = region
    params.carry("deployment.region", "aws_region_name")
    params.carry("deployment.base_url", "aws_bedrock_runtime_endpoint")
    if "api_key" not in params:
        row["credentials"] = [_aws(draft, params, str(row["id"]))]


def _aws(draft: Draft, params: Section, id: str) -> dict[str, str]:
    """AWS keys: those of the file, else those that every AWS client looks for in the environment."""
    names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"]
    params.carry("deployment.credentials", *names)
    if names[0] in params or names[1] in params:
        return {name: draft.reference(params, name, f"{id}_{name}") for name in names if name in params or name != names[2]}
    if not draft.account.env.get("AWS_SESSION_TOKEN"):
        names.pop()
    return {name: f"env:{name.upper()}" for name in names}


def vertex(draft: Draft, params: Section, model: str, row: dict[str, Value]) -> None:
    if model.startswith("claude"):
        row["provider"] = "vertex-anthropic"
    elif not model.startswith("gemini"):
        raise NotCarriedError(
            "left", "Of Vertex's models Trimtab speaks to Gemini and Claude.", "Deploy it at another provider, if there is one."
        )
    row["model"] = model
    env = draft.account.env
    project = params.text("vertex_project") or env.get("VERTEXAI_PROJECT")
    location = params.text("vertex_location") or env.get("VERTEXAI_LOCATION") or "us-central1"
    if not project or not _PLACE.fullmatch(project) or not _PLACE.fullmatch(location):
        raise NotCarriedError("act", "Its project is not known.", "Add vertex_project and import again.")
    host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
    row.setdefault("base_url", f"https://{host}/v1/projects/{project}/locations/{location}")
    row["region"] = location
    params.carry("deployment.base_url", "vertex_project", "vertex_location")
    row["credentials"] = [{"google_service_account": _google(draft, params, str(row["id"]))}]


def _google(draft: Draft, params: Section, id: str) -> str:
    """LiteLLM takes the path of a key file, its text, or a variable with either."""
    key = "vertex_credentials"
    params.carry("deployment.credentials", key)
    value = params.value(key)
    name = variable(value) or (None if value is not None else "GOOGLE_APPLICATION_CREDENTIALS")
    if name is not None:
        found = draft.account.env.get(name, "").strip()
        return f"file:{found}" if _KEY_FILE.fullmatch(found) else f"env:{name}"
    if isinstance(value, str) and _KEY_FILE.fullmatch(value):
        return f"file:{value}"
    return draft.reference(params, key, f"{id}_SERVICE_ACCOUNT")
