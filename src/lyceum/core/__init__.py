"""The words the rooms share: nouns, verbs, errors, traces and text helpers. Standard library only."""
