"""One action on many profiles, as a job over a frozen list of ids; and exports."""
