-- Day by day: at the moment a dump landed, the snapshot lists exactly what the dump listed, at its prices.
with dumps as (

    select
        available_at,
        max(claimed_at) as exported_at
    from {{ ref('slv_price_list') }}
    group by source_file, file_version, available_at
    qualify
        exported_at = max(exported_at) over (
            order by available_at range between unbounded preceding and current row
        )

),

dumped as (

    select distinct
        prices.available_at,
        prices.product_id,
        prices.unit_price,
        prices.currency
    from {{ ref('slv_price_list') }} as prices
    inner join dumps on prices.available_at = dumps.available_at and prices.claimed_at = dumps.exported_at

),

snapshotted as (

    select
        dumps.available_at,
        versions.product_id,
        versions.unit_price,
        versions.currency
    from dumps
    inner join {{ ref('snp_price_list') }} as versions
        on dumps.available_at >= versions.dbt_valid_from and dumps.available_at < versions.dbt_valid_to
    where versions.is_listed

),

-- What a rejected row should have said is not known; there the snapshot keeps the price it had.
unknown as (

    select
        available_at,
        product_id
    from {{ ref('slv_price_list__checked') }}
    where rule_ids is not null

),

in_the_dump_alone as (

    select * from dumped
    except
    select * from snapshotted

),

in_the_snapshot_alone as (

    select * from snapshotted
    except
    select * from dumped

),

differences as (

    select
        'in the dump alone' as fault,
        *
    from in_the_dump_alone
    union all
    select
        'in the snapshot alone' as fault,
        *
    from in_the_snapshot_alone

),

final as (

    select differences.*
    from differences
    anti join unknown using (available_at, product_id)

)

select * from final
