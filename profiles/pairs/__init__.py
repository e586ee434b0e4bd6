"""What is known about two profiles as a pair: verdicts of people, suggestions of sources, vetoes, the
policy.
"""
