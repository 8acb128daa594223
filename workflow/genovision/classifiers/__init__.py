"""Image classifiers whose outputs the uncertainty systems read: image sets, networks, training, cached logits and features."""
