{% snapshot snp_price_list %}

{{ config(
    strategy='timestamp',
    unique_key='product_id',
    updated_at='changed_at',
    hard_deletes='ignore',
    dbt_valid_to_current=assay.end_of_time(),
    post_hook="{{ assay.complete_snapshot(
        this,
        '(select *, available_at as changed_at from ' ~ ref('slv_price_list__changes') ~ ')',
        unique_key='product_id',
        changed_at='changed_at',
        columns=['unit_price', 'currency', 'is_listed']
    ) }}"
) }}

    -- Delisted products stay in as such: dbt would date a row that vanishes by the clock on the wall.
    select
        product_id,
        unit_price,
        currency,
        is_listed,
        available_at as changed_at
    from {{ ref('slv_price_list__changes') }}
    qualify row_number() over (partition by product_id order by available_at desc) = 1

{% endsnapshot %}
