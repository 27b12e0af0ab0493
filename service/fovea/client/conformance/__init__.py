"""How well a server speaks the Open Inference Protocol: questions to it over gRPC and HTTP, made from its own metadata.

Nothing is loaded, registered or changed on the server. A question is a `Case`, its outcome a `Result`.
"""

from fovea.client.conformance.case import Case, Result, Verdict
from fovea.client.conformance.examination import examine
from fovea.client.conformance.report import as_json, as_text, conforms, summary

__all__ = ["Case", "Result", "Verdict", "as_json", "as_text", "conforms", "examine", "summary"]
