{{ config(pre_hook="{{ assay.put_views_online() }}") }}

{{ online_catalog(names_read('online_views')) }}
