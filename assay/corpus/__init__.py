"""Choose texts for training language models: corpora are versions of training sets whose rows are texts."""
