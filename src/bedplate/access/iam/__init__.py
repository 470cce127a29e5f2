"""IAM: policy documents, what they decide, and whether one set of them allows more than another."""
