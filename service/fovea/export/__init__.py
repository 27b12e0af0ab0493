"""From a torch module to a published version: ONNX with one node per attention block, parity, card, golden batch."""
