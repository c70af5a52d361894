{{ arrival_freshness(sources_read()) }}
