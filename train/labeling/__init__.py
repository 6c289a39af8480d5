"""The Label Studio loop: a project, plans pushed as tasks with pre-labels, annotations pulled as rows, agreement, the ML backend."""
