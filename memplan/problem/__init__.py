"""What is planned and the answer: options, pins, the problem with everything numbered, the plan."""
