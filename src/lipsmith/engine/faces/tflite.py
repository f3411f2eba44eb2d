"""A MediaPipe .tflite graph as a batched torch module.

Takes a flat-buffer file, gives a module whose forward is the graph's own arithmetic in float32. Knows nothing about
faces. Only the operators of the two face nets are here; an unknown one is refused at load, never at run time.

The three MediaPipe custom operators (attention crops) follow the published sources of google-ai-edge/mediapipe
(Apache-2.0), mediapipe/util/tflite/operations, version 2 of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
import torch.nn.functional as F
from flatbuffers import flexbuffers
from torch import Tensor

_OPERATOR_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_DTYPES = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8}
_ACTIVATIONS: dict[int, Callable[[Tensor], Tensor]] = {0: lambda x: x, 1: F.relu, 3: F.relu6}
_INDEX_VECTORS = {1: tflite.Int32Vector, 2: tflite.Uint16Vector, 3: tflite.Uint8Vector}


@dataclass(frozen=True)
class _Step:
    """One operator of the graph, ready to run."""

    run: Callable[..., Tensor]
    inputs: tuple[int, ...]  # tensor numbers; computed ones only
    output: int
    done: tuple[int, ...] = ()  # inputs that nobody asks for later: their memory is the next tensors'


class TfliteNet(torch.nn.Module):
    """The graph of `path`. Input (B, H, W, 3) float32; outputs are float32 tensors as in the file, B first."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        reader = _GraphReader(model, self._own)
        self._steps = reader.steps()
        self._input, self._outputs = reader.input, reader.outputs
        self._plans: dict[tuple[int, ...], tuple[_Step, ...]] = {}

    def _own(self, name: str, values: np.ndarray) -> Callable[[], Tensor]:
        """Keep a constant as a buffer, so that it follows the module to another device; gives its getter."""
        tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        self.register_buffer(name, tensor)
        return lambda: getattr(self, name)

    def forward(self, pixels: Tensor, *places: int) -> tuple[Tensor, ...]:
        """The outputs at `places` in the file's order, all if none is named; what only others need is not computed."""
        wanted = tuple(self._outputs[place] for place in places) or self._outputs
        if wanted not in self._plans:
            self._plans[wanted] = _needed(self._steps, wanted)
        values = {self._input: pixels}
        for step in self._plans[wanted]:
            values[step.output] = step.run(*(values[i] for i in step.inputs))
            for number in step.done:
                del values[number]
        return tuple(values[i] for i in wanted)


def _needed(steps: tuple[_Step, ...], outputs: tuple[int, ...]) -> tuple[_Step, ...]:
    """Those of the graph's steps that `outputs` rest on, with what each is the last to ask for."""
    needed: list[_Step] = []
    wanted = set(outputs)
    for step in reversed(steps):
        if step.output in wanted:
            needed.append(replace(step, done=tuple(set(step.inputs) - wanted)))
            wanted.update(step.inputs)
    return tuple(reversed(needed))


class _GraphReader:
    """Turns flat-buffer operators into steps; weights go to `own`, constants are resolved here."""

    def __init__(self, model: Any, own: Callable[[str, np.ndarray], Callable[[], Tensor]]) -> None:
        self._model, self._graph, self._own = model, model.Subgraphs(0), own
        self.input = int(self._graph.InputsAsNumpy()[0])
        self.outputs = tuple(int(i) for i in self._graph.OutputsAsNumpy())
        self._constants: dict[int, np.ndarray] = {}
        self._sparse: dict[int, np.ndarray] = {}
        for i in range(self._graph.TensorsLength()):
            tensor = self._graph.Tensors(i)
            buffer = model.Buffers(tensor.Buffer())
            if not buffer.DataLength():
                continue
            raw = buffer.DataAsNumpy().view(_DTYPES[tensor.Type()])
            if tensor.Sparsity() is None:
                self._constants[i] = raw.reshape(self._shape(i))
            else:
                self._sparse[i] = raw

    def steps(self) -> tuple[_Step, ...]:
        found = (self._step(k) for k in range(self._graph.OperatorsLength()))
        return tuple(step for step in found if step is not None)

    def _shape(self, tensor: int) -> tuple[int, ...]:
        t = self._graph.Tensors(tensor)
        return tuple(t.ShapeAsNumpy().tolist()) if t.ShapeLength() else ()

    def _step(self, k: int) -> _Step | None:
        op = self._graph.Operators(k)
        code = self._model.OperatorCodes(op.OpcodeIndex())
        name = _OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = tuple(int(i) for i in op.InputsAsNumpy())
        output = int(op.OutputsAsNumpy()[0])
        if name == "DENSIFY":
            self._constants[output] = _densify(
                self._sparse[inputs[0]], self._graph.Tensors(inputs[0]), self._shape(output)
            )
            return None
        if name == "DEQUANTIZE":
            self._constants[output] = self._constants[inputs[0]].astype(np.float32)
            return None
        options: Any = {}
        if name == "CUSTOM":
            name = code.CustomCode().decode()
            packed = bytes(op.CustomOptions(j) for j in range(op.CustomOptionsLength()))
            options = flexbuffers.Loads(packed) if packed else {}
        build = getattr(self, f"_build_{name.lower()}", None)
        if build is None:
            raise NotImplementedError(f"operator {name} of the face nets is not known")
        run = build(op, inputs, output, options, f"op{k}")
        return _Step(run, tuple(i for i in inputs if i not in self._constants), output)

    # Each builder gives the operator as a function of its computed inputs, NHWC in and NHWC out.

    def _build_conv_2d(self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str) -> Callable[..., Tensor]:
        options = _options(op, tflite.Conv2DOptions)
        return self._convolution(options, self._constants[inputs[1]].transpose(0, 3, 1, 2), inputs[2], 1, name)

    def _build_depthwise_conv_2d(
        self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str
    ) -> Callable[..., Tensor]:
        options = _options(op, tflite.DepthwiseConv2DOptions)
        kernel = self._constants[inputs[1]].transpose(3, 0, 1, 2)
        return self._convolution(options, kernel, inputs[2], kernel.shape[0], name)

    def _convolution(
        self, options: Any, kernel: np.ndarray, bias_tensor: int, groups: int, name: str
    ) -> Callable[..., Tensor]:
        weight = self._own(f"{name}_weight", kernel)
        bias = self._own(f"{name}_bias", self._constants[bias_tensor])
        stride = (options.StrideH(), options.StrideW())
        dilation = (options.DilationHFactor(), options.DilationWFactor())
        same = options.Padding() == tflite.Padding.SAME
        activation = _ACTIVATIONS[options.FusedActivationFunction()]
        size = kernel.shape[2:]

        def run(x: Tensor) -> Tensor:
            planes = x.permute(0, 3, 1, 2)
            (top, bottom), (left, right) = _same(planes, size, stride, dilation) if same else ((0, 0), (0, 0))
            even = (top, left) == (bottom, right)  # then the convolution pads by itself, without a copy
            if not even:
                planes = F.pad(planes, (left, right, top, bottom))
            y = F.conv2d(planes, weight(), bias(), stride, (top, left) if even else 0, dilation, groups)
            return activation(y).permute(0, 2, 3, 1)

        return run

    def _build_prelu(self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str) -> Callable[..., Tensor]:
        slope = self._own(f"{name}_slope", self._constants[inputs[1]].reshape(-1))
        return lambda x: F.prelu(x.permute(0, 3, 1, 2), slope()).permute(0, 2, 3, 1)

    def _build_add(self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str) -> Callable[..., Tensor]:
        activation = _ACTIVATIONS[_options(op, tflite.AddOptions).FusedActivationFunction()]
        return self._with_constant(inputs, name, lambda a, b: activation(a + b))

    def _build_mul(self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str) -> Callable[..., Tensor]:
        activation = _ACTIVATIONS[_options(op, tflite.MulOptions).FusedActivationFunction()]
        return self._with_constant(inputs, name, lambda a, b: activation(a * b))

    def _with_constant(
        self, inputs: tuple[int, ...], name: str, combine: Callable[[Tensor, Tensor], Tensor]
    ) -> Callable[..., Tensor]:
        constants = [self._own(f"{name}_constant", self._constants[i]) for i in inputs if i in self._constants]
        if not constants:
            return combine
        return lambda x: combine(x, constants[0]())

    def _build_max_pool_2d(
        self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str
    ) -> Callable[..., Tensor]:
        options = _options(op, tflite.Pool2DOptions)
        size, stride = (options.FilterHeight(), options.FilterWidth()), (options.StrideH(), options.StrideW())
        same = options.Padding() == tflite.Padding.SAME

        def run(x: Tensor) -> Tensor:
            planes = x.permute(0, 3, 1, 2)
            if same:
                (top, bottom), (left, right) = _same(planes, size, stride, (1, 1))
                planes = F.pad(planes, (left, right, top, bottom), value=float("-inf"))
            return F.max_pool2d(planes, size, stride).permute(0, 2, 3, 1)

        return run

    def _build_pad(self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str) -> Callable[..., Tensor]:
        pairs = self._constants[inputs[1]].reshape(-1, 2).tolist()
        amounts = [amount for pair in reversed(pairs) for amount in pair]
        return lambda x: F.pad(x, amounts)

    def _build_reshape(self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str) -> Callable[..., Tensor]:
        shape = self._shape(output)[1:]
        return lambda x: x.contiguous().reshape((x.shape[0], *shape))

    def _build_resize_bilinear(
        self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str
    ) -> Callable[..., Tensor]:
        options = _options(op, tflite.ResizeBilinearOptions)
        corners = bool(options.AlignCorners())
        if not corners and not options.HalfPixelCenters():
            raise NotImplementedError("the legacy bilinear resize is not known")
        size = self._constants[inputs[1]].tolist()

        def run(x: Tensor) -> Tensor:
            y = F.interpolate(x.permute(0, 3, 1, 2), size, mode="bilinear", align_corners=corners)
            return y.permute(0, 2, 3, 1)

        return run

    def _build_depth_to_space(
        self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str
    ) -> Callable[..., Tensor]:
        block = _options(op, tflite.DepthToSpaceOptions).BlockSize()

        def run(x: Tensor) -> Tensor:  # TensorFlow's order: the block offsets are the slow part of the channels
            b, h, w, c = x.shape
            y = x.reshape(b, h, w, block, block, c // block**2).permute(0, 1, 3, 2, 4, 5)
            return y.reshape(b, h * block, w * block, c // block**2)

        return run

    def _build_strided_slice(
        self, op: Any, inputs: tuple[int, ...], output: int, _: Any, name: str
    ) -> Callable[..., Tensor]:
        begin, _end, step = (self._constants[i].tolist() for i in inputs[1:4])
        shape = self._shape(output)
        cuts = [(axis, begin[axis], shape[axis]) for axis in range(1, len(begin)) if step[axis] == 1]

        def run(x: Tensor) -> Tensor:
            for axis, start, length in cuts:
                x = x.narrow(axis, start, length)
            return x

        return run

    def _build_landmarks2transformmatrix(
        self, op: Any, inputs: tuple[int, ...], output: int, options: Any, name: str
    ) -> Callable[..., Tensor]:
        return lambda landmarks: _landmarks_to_matrix(landmarks, options)

    def _build_transformtensorbilinear(
        self, op: Any, inputs: tuple[int, ...], output: int, options: Any, name: str
    ) -> Callable[..., Tensor]:
        height, width = options["output_height"], options["output_width"]
        return lambda x, matrix: _transform_bilinear(x, matrix, height, width)

    def _build_transformlandmarks(
        self, op: Any, inputs: tuple[int, ...], output: int, options: Any, name: str
    ) -> Callable[..., Tensor]:
        def run(points: Tensor, matrix: Tensor) -> Tensor:
            moved = points[..., :2] @ matrix[:, :2, :2].transpose(1, 2) + matrix[:, None, :2, 3]
            return torch.cat([moved, points[..., 2:]], -1)

        return run


def _options(op: Any, kind: Any) -> Any:
    options, table = kind(), op.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _same(
    x: Tensor, size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> list[tuple[int, int]]:
    """TensorFlow's SAME padding of rows and of columns: the odd pixel goes to the bottom and the right."""
    amounts = []
    for axis, length in enumerate(x.shape[2:]):
        reach = (size[axis] - 1) * dilation[axis] + 1
        total = max((-(-length // stride[axis]) - 1) * stride[axis] + reach - length, 0)
        amounts.append((total // 2, total - total // 2))
    return amounts


def _densify(raw: np.ndarray, tensor: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A block-sparse constant as a dense array (tflite schema, SparsityParameters)."""
    sparsity = tensor.Sparsity()
    order = sparsity.TraversalOrderAsNumpy().tolist()
    blocks = sparsity.BlockMapAsNumpy().tolist() if sparsity.BlockMapLength() else []
    levels = [_sparse_level(sparsity.DimMetadata(i)) for i in range(sparsity.DimMetadataLength())]
    block_size = {blocks[axis - len(shape)]: levels[k][0] for k, axis in enumerate(order) if axis >= len(shape)}
    where = np.zeros((len(shape), 1), int)  # of each value's place so far
    place = np.zeros(1, int)  # in the level's own numbering
    for axis, (size, segments, indices) in zip(order, levels, strict=True):
        if segments is None:
            parents, own = np.repeat(np.arange(len(place)), size), np.tile(np.arange(size), len(place))
            place = place[parents] * size + own
        else:
            counts = segments[place + 1] - segments[place]
            parents = np.repeat(np.arange(len(place)), counts)
            within = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts)
            place = segments[place][parents] + within
            own = indices[place]
        where = where[:, parents]
        if axis < len(shape):
            where[axis] += own * block_size.get(axis, 1)
        else:
            where[blocks[axis - len(shape)]] += own
    dense = np.zeros(shape, np.float32)
    dense[tuple(where)] = raw[place]
    return dense


def _sparse_level(metadata: Any) -> tuple[int, Any, Any]:
    if metadata.Format() == 0:  # dense level
        return metadata.DenseSize(), None, None

    def vector(kind: int, table: Any) -> np.ndarray:
        values = _INDEX_VECTORS[kind]()
        values.Init(table.Bytes, table.Pos)
        return values.ValuesAsNumpy()

    segments = vector(metadata.ArraySegmentsType(), metadata.ArraySegments())
    indices = vector(metadata.ArrayIndicesType(), metadata.ArrayIndices())
    return metadata.DenseSize(), segments.astype(int), indices.astype(int)


def _landmarks_to_matrix(landmarks: Tensor, options: dict[str, Any]) -> Tensor:
    """(B, N, >=2) landmarks -> (B, 4, 4) matrix from output crop pixels to input pixels."""
    points = landmarks[..., :2]
    axis = points[:, options["right_rotation_idx"]] - points[:, options["left_rotation_idx"]]
    axis = axis / axis.norm(dim=1, keepdim=True).clamp_min(1e-6)
    cos, sin = axis[:, 0], -axis[:, 1]
    rotation = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)  # (B, 2, 2)
    upright = points[:, options["subset_idxs"]] @ rotation.transpose(1, 2)
    high, low = upright.amax(1), upright.amin(1)
    center = (((high + low) / 2)[:, None] @ rotation)[:, 0]
    width, height = options["output_width"], options["output_height"]
    size = high - low
    scale = torch.stack([options["scale_x"] * size[:, 0] / width, options["scale_y"] * size[:, 1] / height], 1)
    linear = rotation.transpose(1, 2) * scale[:, None, :]
    shift = center + linear @ torch.tensor([-width / 2.0, -height / 2.0], dtype=points.dtype, device=points.device)
    matrix = torch.zeros((points.shape[0], 4, 4), dtype=points.dtype, device=points.device)
    matrix[:, :2, :2], matrix[:, :2, 3] = linear, shift
    matrix[:, 2, 2] = matrix[:, 3, 3] = 1
    return matrix


def _transform_bilinear(x: Tensor, matrix: Tensor, height: int, width: int) -> Tensor:
    """(B, H, W, C) sampled at the matrix image of an output grid; zero outside."""
    rows, columns = x.shape[1], x.shape[2]
    ys = torch.arange(height, dtype=x.dtype, device=x.device) + 0.5
    xs = torch.arange(width, dtype=x.dtype, device=x.device) + 0.5
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    grid = torch.stack([grid_x.reshape(-1), grid_y.reshape(-1)], -1)
    where = grid @ matrix[:, :2, :2].transpose(1, 2) + matrix[:, None, :2, 3] - 0.5  # (B, height*width, 2)
    last = torch.tensor([columns - 1.0, rows - 1.0], dtype=x.dtype, device=x.device)
    inside = ((where >= 0) & (where <= last)).all(-1).to(x.dtype)
    where = (where * 2 / last - 1).reshape(-1, height, width, 2)
    y = F.grid_sample(x.permute(0, 3, 1, 2), where, mode="bilinear", padding_mode="zeros", align_corners=True)
    return (y * inside.reshape(-1, 1, height, width)).permute(0, 2, 3, 1)
