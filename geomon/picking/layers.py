"""The layers of published pickers that Keras does not have, in `keras.ops` alone."""

from functools import cache
from typing import Any

from geomon.picking.backend import load_keras

OWN_LAYERS = frozenset({"AdditiveSelfAttention"})


@cache
def own_layers() -> dict[str, Any]:
    """Return the layer classes by name; they exist once Keras is imported.

    Returns
    -------
    dict of str to class
    """
    keras = load_keras()
    ops = keras.ops
    layer: Any = keras.layers.Layer

    class AdditiveSelfAttention(layer):
        """Additive self-attention over time, whole or within a few steps (Zheng et al. 2018).

        As EQTransformer has it: local attention weighs against the largest score of the whole
        window, which is why it is no softmax. https://doi.org/10.1038/s41467-020-17591-w
        """

        def __init__(self, units: int, width: int | None = None, **keywords: Any) -> None:  # noqa: ANN401
            super().__init__(**keywords)
            self.units, self.width = units, width

        def build(self, input_shape: tuple[int | None, ...]) -> None:
            """Make the weights: to the query, to the key, their bias, to the score, its bias."""
            features = input_shape[-1]
            shapes = {
                "query": (features, self.units), "key": (features, self.units),
                "bias": (self.units,), "score": (self.units, 1), "score_bias": (1,),
            }  # fmt: skip
            self.matrices = {
                name: self.add_weight(shape=shape, name=name) for name, shape in shapes.items()
            }

        def call(self, x: Any) -> Any:  # noqa: ANN401 - tensors
            """Return the weighted means over time, shape (batch, steps, features) as `x`."""
            weights = self.matrices
            query = ops.expand_dims(ops.matmul(x, weights["query"]), 2)
            key = ops.expand_dims(ops.matmul(x, weights["key"]), 1)
            mixed = ops.tanh(query + key + weights["bias"])
            score = ops.squeeze(ops.matmul(mixed, weights["score"]), -1) + weights["score_bias"]
            attention = ops.exp(score - ops.max(score, axis=-1, keepdims=True))
            if self.width is not None:
                step = ops.arange(x.shape[1])
                distance = step[None, :] - step[:, None] + self.width // 2
                near = ops.logical_and(distance >= 0, distance < self.width)
                attention = attention * ops.cast(near, attention.dtype)
            attention = attention / (ops.sum(attention, axis=-1, keepdims=True) + 1e-7)
            return ops.matmul(attention, x)

        def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:  # noqa: ANN401
            """Return the input's shape."""
            return input_shape

        def get_config(self) -> dict[str, Any]:
            """Return what the layer is made from."""
            return {**super().get_config(), "units": self.units, "width": self.width}

    return {"AdditiveSelfAttention": AdditiveSelfAttention}
