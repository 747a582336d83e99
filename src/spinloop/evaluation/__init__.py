"""Errors of predictions and of fits against truth: metrics, protocols, scores and their summaries.

Arrays are NumPy, joints in metres and camera axes. Metrics are per sample, in millimetres or percent;
summaries average them.
"""
