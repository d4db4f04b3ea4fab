"""The embedded cluster: a real Kubernetes with real Istio on one Linux machine, without Docker."""
