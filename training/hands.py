"""Hands to paint over faces: a skinned model, its joints bent at random, lit from somewhere, drawn.

Reads the two glTF hands of the npm package @webxr-input-profiles/assets (MIT), gives `Drawn` hands. Only what those two
files hold is read of the format (Khronos glTF 2.0): one mesh, one skin, no textures.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

SIZE = 160  # pixels a side of a drawn hand
_NUMBERS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_PARTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_FRACTION_BITS = 4  # of polygon corners
_AMBIENT, _DIRECT, _DEEP = 0.55, 0.5, 0.15  # of the light; the last is lost by what lies behind


@dataclass(frozen=True)
class Drawn:
    """One picture of a hand."""

    alpha: np.ndarray  # (160, 160) float32 in [0, 1]
    shade: np.ndarray  # (160, 160) float32, 0.3-1.1: light on it, 0 where it is not

    def mirrored(self) -> Drawn:
        return Drawn(self.alpha[:, ::-1], self.shade[:, ::-1])


class Hand:
    """One skinned hand."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        (length,) = struct.unpack("<I", data[12:16])
        self._about, self._binary = json.loads(data[20 : 20 + length]), data[20 + length + 8 :]
        primitive = self._about["meshes"][0]["primitives"][0]
        parts = primitive["attributes"]
        self._vertices = self._read(parts["POSITION"]).astype(np.float64)
        self._driven_by = self._read(parts["JOINTS_0"]).astype(int)
        weights = self._read(parts["WEIGHTS_0"]).astype(np.float64)
        self._weights = weights / weights.sum(1, keepdims=True)
        self._triangles = self._read(primitive["indices"]).reshape(-1, 3).astype(int)
        skin = self._about["skins"][0]
        self._joints: list[int] = skin["joints"]
        self._unbind = self._read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        nodes = self._about["nodes"]
        self._parent = {child: i for i, node in enumerate(nodes) for child in node.get("children", ())}
        self._at_rest = [_matrix(node) for node in nodes]
        self._names: list[str] = [nodes[j]["name"] for j in self._joints]

    def draw(self, rng: np.random.Generator) -> Drawn:
        """The hand in some pose, seen from somewhere, as large as the picture."""
        points = self._posed(rng) @ _any_rotation(rng).T
        points -= points.mean(0)
        points /= np.abs(points[:, :2]).max()
        shade = self._lit(points, rng)
        alpha, light = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.float32)
        corners = points[self._triangles]
        pixels = np.round((corners[..., :2] * 0.48 + 0.5) * SIZE * 2**_FRACTION_BITS).astype(np.int32)
        brightness = shade[self._triangles].mean(1)
        for number in np.argsort(corners[..., 2].mean(1)):  # painter's algorithm: far ones first
            cv2.fillConvexPoly(light, pixels[number], float(brightness[number]), shift=_FRACTION_BITS)
            cv2.fillConvexPoly(alpha, pixels[number], 1.0, shift=_FRACTION_BITS)
        around = cv2.GaussianBlur(alpha, (0, 0), 1.6) + 1e-3
        rounded = cv2.GaussianBlur(light, (0, 0), 1.6) / around  # facets are no skin
        return Drawn(alpha, np.where(alpha > 0, 0.5 * (light + rounded), 0).astype(np.float32))

    def _posed(self, rng: np.random.Generator) -> np.ndarray:
        """(V, 3) vertices with the fingers bent: all alike, or one stretched out and the others in."""
        curl = rng.uniform(0, 1.2) * (rng.random() < 0.75)
        points_at_something = rng.random() < 0.3
        bent = {}
        for name, joint in zip(self._names, self._joints, strict=True):
            if "wrist" in name or "metacarpal" in name or name.endswith("tip"):
                continue
            angle = curl * rng.uniform(0.6, 1.2)
            if points_at_something:
                angle = rng.uniform(0, 0.2) if "index" in name else rng.uniform(1.0, 1.5)
            if "thumb" in name:
                angle *= 0.4
            bent[joint] = _turned(1, rng.normal(0, 0.04)) @ _turned(0, angle)
        places: dict[int, np.ndarray] = {}
        moved = np.stack([self._place(j, bent, places) @ self._unbind[k] for k, j in enumerate(self._joints)])
        skinned = np.einsum("vk,vkab->vab", self._weights, moved[self._driven_by])
        whole = np.column_stack([self._vertices, np.ones(len(self._vertices))])
        return np.einsum("vab,vb->va", skinned[:, :3], whole)

    def _place(self, node: int, bent: dict[int, np.ndarray], known: dict[int, np.ndarray]) -> np.ndarray:
        """(4, 4) of a node in the whole."""
        if node not in known:
            own = self._at_rest[node] @ bent.get(node, np.eye(4))
            parent = self._parent.get(node)
            known[node] = own if parent is None else self._place(parent, bent, known) @ own
        return known[node]

    def _lit(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(V,) Lambert's law, with less light on what lies behind."""
        corners = points[self._triangles]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(points)
        for k in range(3):
            np.add.at(normals, self._triangles[:, k], facing)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        lamp = rng.normal(size=3)
        lamp[2] = abs(lamp[2]) + 0.5
        lamp /= np.linalg.norm(lamp)
        near = (points[:, 2] - points[:, 2].min()) / (np.ptp(points[:, 2]) + 1e-9)
        return (_AMBIENT + _DIRECT * np.clip(normals @ lamp, -0.3, 1)) * (1 - _DEEP + _DEEP * near)

    def _read(self, number: int) -> np.ndarray:
        """(count, parts) of an accessor."""
        accessor = self._about["accessors"][number]
        view = self._about["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        kind, parts = np.dtype(_NUMBERS[accessor["componentType"]]), _PARTS[accessor["type"]]
        stride = view.get("byteStride", 0) or parts * kind.itemsize
        shape, strides = (accessor["count"], parts), (stride, kind.itemsize)
        return np.ndarray(shape, kind, self._binary, start, strides).copy()


def _matrix(node: dict) -> np.ndarray:
    """(4, 4) of a node against its parent."""
    made = np.eye(4)
    made[:3, :3] = _rotation(np.array(node.get("rotation", (0, 0, 0, 1)), float)) * node.get("scale", (1, 1, 1))
    made[:3, 3] = node.get("translation", (0, 0, 0))
    return made


def _rotation(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) from (x, y, z, w)."""
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _any_rotation(rng: np.random.Generator) -> np.ndarray:
    return _rotation(rng.normal(size=4))


def _turned(axis: int, angle: float) -> np.ndarray:
    """(4, 4) rotation by `-angle` about the axis x (0) or y (1): fingers bend towards the palm."""
    quaternion = np.zeros(4)
    quaternion[axis], quaternion[3] = np.sin(-angle / 2), np.cos(angle / 2)
    made = np.eye(4)
    made[:3, :3] = _rotation(quaternion)
    return made
