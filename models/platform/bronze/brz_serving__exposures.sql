{{ landed_rows('serving', 'exposures') }}
