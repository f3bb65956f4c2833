"""The model server: findings in, a draft impression in the signer's style out, over HTTP on Ray Serve."""
