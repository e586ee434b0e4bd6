"""The kinds of conditions a rule is made of: one class per kind, a module each. A new module here is a new kind everywhere."""
