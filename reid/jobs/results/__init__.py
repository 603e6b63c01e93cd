"""What ``reid results`` shows of many runs; nothing here needs torch."""
