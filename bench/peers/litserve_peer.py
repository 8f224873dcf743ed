"""Serve a LightGBM model by LitServe: python litserve_peer.py MODEL PORT.

Runs in LitServe's own environment, with one worker and one prediction thread.
"""

from __future__ import annotations

import sys
from typing import Any

import lightgbm
import litserve
import numpy as np


class Trees(litserve.LitAPI):
    """One row of named numbers in, one probability out."""

    def setup(self, device: str) -> None:
        """Load the model."""
        del device
        self.booster = lightgbm.Booster(model_file=sys.argv[1])

    def decode_request(self, request: dict[str, float]) -> np.ndarray:
        """Put the values into a row."""
        return np.array([list(request.values())], dtype=np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Answer one row."""
        return self.booster.predict(x, num_threads=1)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """Return the answer."""
        return {"prediction": float(output[0])}


if __name__ == "__main__":
    server = litserve.LitServer(Trees(), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False)
