"""AWS's own model of Bedrock, as an oracle: would its client have written this body, and what does it read in an answer?"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from botocore import validate
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape
from botocore.parsers import EventStreamJSONParser, RestJSONParser
from botocore.serialize import create_serializer


@cache
def service() -> Any:
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"))


def parameters(value: Any, shape: Shape) -> Any:
    """What a caller of AWS's client would have passed for ``value`` to stand in the body."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return value
        return {name: parameters(inner, shape.members[name]) if name in shape.members else inner for name, inner in value.items()}
    if isinstance(shape, ListShape):
        return [parameters(inner, shape.member) for inner in value]
    if isinstance(shape, MapShape):
        return {name: parameters(inner, shape.value) for name, inner in value.items()}
    return base64.b64decode(value, validate=True) if shape.type_name == "blob" else value


def check_request(body: bytes) -> None:
    """AWS's client takes such parameters, and would have written this very body."""
    operation = service().operation_model("Converse")
    given = parameters(json.loads(body), operation.input_shape) | {"modelId": "m"}
    report = validate.ParamValidator().validate(given, operation.input_shape)
    assert not report.has_errors(), report.generate_report()
    written = create_serializer("rest-json", include_validation=False).serialize_to_request(given, operation)
    assert json.loads(written["body"]) == json.loads(body)


def read_answer(body: bytes) -> Any:
    response = {"status_code": 200, "headers": {}, "body": body, "context": {}}
    return RestJSONParser().parse(response, service().operation_model("Converse").output_shape)


def read_stream(stream: bytes) -> list[Any]:
    shape = service().shape_for("ConverseStreamOutput")
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [EventStreamJSONParser().parse(message.to_response_dict(), shape) for message in buffer]
