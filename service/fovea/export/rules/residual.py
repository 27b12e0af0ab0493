"""The end of a residual branch: a block of Fovea's, the sum with the shortcut and its ReLU become one node.

The operator's body says the same as the three nodes did. Fused where nobody else sees what lies between.
"""

from __future__ import annotations

from typing import Any

from onnxscript import ir
from onnxscript.rewriter import MatchContext, MatchResult
from onnxscript.rewriter.pattern import RewriteRuleClassBase

from fovea.contract.operators import DOMAIN, RESIDUAL_FORMS, VERSION, Operator
from fovea.export.rules.attention_rule import either_way, same_sizes


class ResidualEnd(RewriteRuleClassBase):  # type: ignore[misc]
    """Of one operator on feature maps. The node keeps its name and its maps."""

    def __init__(self, plain: Operator) -> None:
        self.plain, self.operator = plain, RESIDUAL_FORMS[plain.name]
        super().__init__(self.operator.name)

    def pattern(self, op: Any, R: Any) -> Any:
        """The ReLU and the maps."""
        outputs = ["block", *self.plain.maps]
        block, *maps = getattr(op, self.plain.name)(_domain=DOMAIN, _allow_other_inputs=True, _outputs=outputs)
        return op.Relu(either_way(op.Add, block, R)), *maps

    def check(self, _context: MatchContext, block: ir.Value, R: ir.Value, **bound: Any) -> MatchResult:
        """No broadcast; and no map that another node reads: it may come before the ReLU, or even lead to R."""
        result = MatchResult()
        if any(bound[name].uses() for name in self.plain.maps):
            return result.fail("a node reads its map", block)
        if len(block.uses()) != 1 or not same_sizes(block, R):
            return result.fail("is broadcast, or added to itself", block)
        return result

    def rewrite(self, op: Any, block: ir.Value, R: ir.Value, **_bound: Any) -> Any:
        """The same node, with R as its last input."""
        plain = block.producer()
        assert plain is not None
        missing = [None] * (len(self.plain.inputs) - len(plain.inputs))
        names = {"_domain": DOMAIN, "_version": VERSION, "_outputs": len(self.operator.outputs)}
        outputs = getattr(op, self.operator.name)(*plain.inputs, *missing, R, **plain.attributes, **names)
        outputs[0].producer().name = plain.name
        return outputs
