-- depends_on: {{ ref('slv_segments') }}
{{ stream_hours(streams_read(), ref('slv_segments')) }}
