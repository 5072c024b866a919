"""A network for any number of spans a window: `SpanNet` as a semi-Markov model over sets of them.

The scores of spans are those of `SpanNet`; a set of disjoint spans has the sum of theirs, the empty
one 0. Letters: B windows, T bars, C channels, K types, S spans.
"""

from __future__ import annotations

from torch import Tensor

from moola_core.config.sections import ModelConfig
from moola_core.model.heads import Outputs
from moola_core.model.span_net import SpanNet


class SeveralNet(SpanNet):
    """Scores of all spans, to be summed over sets; types are said of each bar, not of a window.

    Args:
        num_features: F.
        config: as of `SpanNet`; that there is no span needs no head of its own.
    """

    def __init__(self, num_features: int, config: ModelConfig) -> None:
        super().__init__(num_features, config.model_copy(update={"no_span": False}))

    def outputs_of(self, states: Tensor) -> Outputs:
        """Return ``segment_logits (B, S)``, ``span_logits (B, T)`` and ``states (B, T, C)``.

        And ``type_bars (B, T, K)``: the mean over a span's bars are the scores of its types, linear
        in its mean state and in that of the window.
        """
        outputs = super().outputs_of(states)
        del outputs["type_logits"]
        kept = outputs["states"]
        inside, window = self.type_head.weight.chunk(2, dim=1)
        of_window = kept.mean(dim=1) @ window.T + self.type_head.bias
        outputs["type_bars"] = kept @ inside.T + of_window[:, None]
        return outputs
