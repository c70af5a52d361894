{{ arrival_freshness(sources_read(), silence_allowed()) }}
