"""How good a prediction is: metrics, protocols, and the errors of networks and of fits against truth.

Arrays are NumPy, joints in metres and camera axes. Metrics are per sample and unreduced, in millimetres or
percent; whoever reports them averages.
"""
