with measures as (

    select * from {{ ref('mon_drift__measures') }}

),

-- States of one entity are alike: there are no more chances than entities.
independent as (

    select
        *,
        least(reference_present, reference_entities)::double as n,
        least(window_present, window_entities)::double as m,
        least(reference_rows, reference_entities)::double as n_with_nulls,
        least(window_rows, window_entities)::double as m_with_nulls
    from measures

),

scaled as (

    select
        *,
        {{ assay._stephens('ks', 'n', 'm') }} as ks_scaled,
        {{ assay._stephens('abs(null_shift)', 'n_with_nulls', 'm_with_nulls') }} as null_scaled,
        chi2 * n * m / (n + m)
        / (reference_present * window_present / nullif(reference_present + window_present, 0)) as chi2_scaled
    from independent

),

chances as (

    select
        comparison,
        month_number,
        false as is_of_nulls,
        case
            when least(reference_present, window_present) = 0 then null
            when is_category then {{ assay._chernoff('chi2_scaled', '(category_count - 1)') }}
            else {{ assay._kolmogorov('ks_scaled') }}
        end as p
    from scaled
    union all
    select
        comparison,
        month_number,
        true as is_of_nulls,
        {{ assay._kolmogorov('null_scaled') }} as p
    from scaled
    where null_scaled is not null

),

placed as (

    select
        *,
        count(*) over (partition by month_number) as tests,
        row_number() over (partition by month_number order by p, comparison, is_of_nulls) as place
    from chances
    where p is not null

),

-- Benjamini and Hochberg, over all that is compared for a month.
adjusted as (

    select
        *,
        least(1, min(p * tests / place) over (partition by month_number order by place desc)) as p_value
    from placed

),

final as (

    select
        comparison,
        any_value(p_value) filter (not is_of_nulls) as p_value,
        any_value(p_value) filter (is_of_nulls) as null_p_value
    from adjusted
    group by comparison

)

select * from final
