{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    post_hook=after_commit("{{ assay.flag_duplicates(
        this, ref('brz_payments__card_transactions'), assay.content_hash('payments', 'card_transactions'),
        ['card_id', 'transaction_number'], 'duplicate_transaction'
    ) }}")
) }}

with landed as (

    {{ rows_to_check(ref('brz_payments__card_transactions')) }}

),

typed as (

    select
        {{ as_landed() }},
        malformed_reason,
        schema_conflict,
        contract_rule_ids,
        {{ filled('cc_num') }} as card_id,
        {{ filled('trans_num') }} as transaction_number,
        -- The generator marks every merchant so; the mark says nothing about fraud.
        nullif(regexp_replace(trim(merchant), '^fraud_', ''), '') as merchant_id,
        {{ filled('category') }} as category,
        {{ strict_number('amt', 'decimal(18, 2)') }} as amount,
        {{ strict_number('lat', 'decimal(9, 6)') }} as home_latitude,
        {{ strict_number('long', 'decimal(9, 6)') }} as home_longitude,
        {{ strict_number('merch_lat', 'decimal(9, 6)') }} as merchant_latitude,
        {{ strict_number('merch_long', 'decimal(9, 6)') }} as merchant_longitude,
        {{ strict_number('city_pop', 'integer') }} as home_city_population,
        trim(city_pop) != '' as has_city_population,
        case trim(is_fraud) when '1' then true when '0' then false end as is_fraud,
        {{ filled('first') }} as holder_first_name,
        {{ filled('last') }} as holder_last_name,
        {{ filled('gender') }} as holder_gender,
        try_cast(dob as date) as holder_birth_date,
        trim(dob) != '' as has_birth_date,
        {{ filled('job') }} as holder_job,
        {{ filled('street') }} as home_street,
        {{ filled('city') }} as home_city,
        {{ filled('state') }} as home_state,
        {{ filled('zip') }} as home_zip,
        {{ utc_timestamp('trans_date_trans_time') }} as written_at
    from landed

),

timed as (

    {{ with_times('typed', 'payments', 'card_transactions') }}

),

final as (

    select
        card_id,
        transaction_number,
        merchant_id,
        category,
        amount,
        merchant_latitude,
        merchant_longitude,
        is_fraud,
        home_latitude,
        home_longitude,
        holder_first_name,
        holder_last_name,
        holder_gender,
        holder_birth_date,
        holder_job,
        home_street,
        home_city,
        home_state,
        home_zip,
        home_city_population,
        event_at,
        claimed_at,
        available_at,
        {{ broken_rules(
            structure={
                'malformed_row': 'malformed_reason is not null',
                'schema_changed': 'schema_conflict is not null',
            },
            content={
                'missing_card': 'card_id is null',
                'invalid_card_number': "not regexp_full_match(card_id, '[0-9]{8,19}')",
                'missing_transaction_number': 'transaction_number is null',
                'missing_merchant': 'merchant_id is null',
                'missing_category': 'category is null',
                'invalid_amount': 'amount is null',
                'amount_not_positive': 'amount <= 0',
                'invalid_coordinates': 'not coalesce(' ~
                    'abs(home_latitude) <= 90 and abs(home_longitude) <= 180' ~
                    ' and abs(merchant_latitude) <= 90 and abs(merchant_longitude) <= 180, false)',
                'invalid_is_fraud': 'is_fraud is null',
                'invalid_birth_date': 'holder_birth_date is null and has_birth_date',
                'invalid_city_population': 'home_city_population is null and has_city_population',
                'invalid_transaction_time': 'written_at is null',
                'transaction_time_out_of_range': 'written_at is not null and claimed_at is null',
            },
            contract='contract_rule_ids'
        ) }} as rule_ids,
        {{ as_landed() }}
    from timed
    where {{ known_as_of() }}

)

{{ shielded_rows('final') }}
