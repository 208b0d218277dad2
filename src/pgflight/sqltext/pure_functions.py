"""Functions that a side-effect-free SELECT may call: built-in, changing and locking nothing.

Read by :mod:`pgflight.sqltext.side_effects` only.  A test asks a real server whether each function
exists and whether none but those of :data:`VOLATILE` is volatile.  A function that is missing here
only costs a wait.  Left out on purpose are ``nextval``, ``setval``, ``setseed``, ``set_config``,
``pg_notify``, advisory locks, large objects, ``pg_sleep``, ``pg_export_snapshot``, what assigns a
transaction id (``txid_current``, ``pg_current_xact_id``), and what runs a query given as text
(``query_to_xml``, ``ts_stat``, ``ts_rewrite``).
"""

from __future__ import annotations

AGGREGATES = """
    array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every
    json_agg json_object_agg jsonb_agg jsonb_object_agg max min mode percentile_cont
    percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_count regr_intercept
    regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum
    var_pop var_samp variance xmlagg
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    row_number
"""
NUMBERS = """
    abs acos acosd asin asind atan atan2 atan2d atand atanh asinh acosh cbrt ceil ceiling cos cosd
    cosh cot cotd degrees div exp factorial floor gcd lcm ln log log10 min_scale mod pi pow power
    radians round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket
    int2 int4 int8 float4 float8 bool
"""
STRINGS = """
    ascii bit_count bit_length btrim char_length character_length chr concat concat_ws convert
    convert_from convert_to decode encode format get_bit get_byte initcap is_normalized left length
    lower lpad ltrim md5 octet_length parse_ident quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad
    rtrim set_bit set_byte sha224 sha256 sha384 sha512 split_part starts_with string_to_array
    string_to_table strpos substr text to_ascii to_hex translate unistr upper
"""
TIMES = """
    age date date_bin date_part date_trunc isfinite justify_days justify_hours justify_interval
    make_date make_interval make_time make_timestamp make_timestamptz now statement_timestamp
    timestamptz timetz to_char to_date to_number to_timestamp transaction_timestamp
"""
ARRAYS_AND_RANGES = """
    array_append array_cat array_dims array_fill array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_to_string
    array_upper cardinality generate_series generate_subscripts trim_array unnest
    daterange int4range int8range isempty lower_inc lower_inf multirange numrange range_merge
    tsrange tstzrange upper_inc upper_inf datemultirange int4multirange int8multirange
    nummultirange tsmultirange tstzmultirange
"""
DOCUMENTS = """
    array_to_json json_array_elements json_array_elements_text json_array_length json_build_array
    json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object
    json_object_keys json_populate_record json_populate_recordset json_strip_nulls json_to_record
    json_to_recordset json_typeof jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_contains jsonb_each
    jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path
    jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists
    jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
    jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first
    jsonb_path_query_first_tz jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset
    jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset
    jsonb_typeof row_to_json to_json to_jsonb xml_is_well_formed xml_is_well_formed_content
    xml_is_well_formed_document xmlcomment xpath xpath_exists
    array_to_tsvector get_current_ts_config numnode phraseto_tsquery plainto_tsquery querytree
    setweight strip to_tsquery to_tsvector ts_delete ts_filter ts_headline ts_rank ts_rank_cd
    tsquery_phrase tsvector_to_array websearch_to_tsquery
"""
ADDRESSES_AND_SHAPES = """
    abbrev broadcast family host hostmask inet_client_addr inet_client_port inet_merge
    inet_same_family inet_server_addr inet_server_port macaddr8_set7bit masklen netmask network
    set_masklen area box center circle diagonal diameter height isclosed isopen line lseg npoints
    path pclose point polygon popen radius slope width
"""
SYSTEM = """
    col_description current_database current_schema current_schemas current_setting format_type
    has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege
    has_schema_privilege has_sequence_privilege has_table_privilege has_type_privilege
    num_nonnulls num_nulls obj_description pg_backend_pid pg_client_encoding pg_collation_is_visible
    pg_column_size pg_current_snapshot pg_current_xact_id_if_assigned pg_encoding_to_char
    pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_function_arguments
    pg_get_function_identity_arguments pg_get_function_result pg_get_functiondef pg_get_indexdef
    pg_get_keywords pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
    pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_index_column_has_property
    pg_index_has_property pg_my_temp_schema pg_is_other_temp_schema pg_opclass_is_visible
    pg_operator_is_visible pg_postmaster_start_time pg_relation_filenode pg_size_bytes
    pg_size_pretty pg_table_is_visible pg_timezone_names pg_ts_config_is_visible
    pg_type_is_visible pg_typeof shobj_description to_regclass to_regnamespace to_regproc
    to_regprocedure to_regrole to_regtype txid_current_if_assigned txid_current_snapshot version
"""

VOLATILE = """
    clock_timestamp timeofday random gen_random_uuid currval lastval pg_is_in_recovery
    pg_database_size pg_indexes_size pg_relation_size pg_table_size pg_tablespace_size
    pg_total_relation_size
"""
"""Volatile, because two calls differ: clocks, chance, what this session or another wrote last."""

LATER = """
    any_value array_sample array_shuffle date_add date_subtract erf erfc pg_input_error_info
    pg_input_is_valid random_normal system_user to_bin to_oct unicode_assigned
    uuid_extract_timestamp uuid_extract_version array_reverse array_sort casefold crc32
    crc32c gamma lgamma uuidv4 uuidv7
"""
"""Functions of PostgreSQL 16 to 18."""

LATER_VOLATILE = frozenset("array_sample array_shuffle random_normal uuidv4 uuidv7".split())

CALLS = """
    coalesce nullif greatest least extract position substring overlay trim normalize grouping
    treat current_time current_timestamp localtime localtimestamp xmlconcat xmlelement xmlexists
    xmlforest xmlattributes xmlparse xmlpi xmlroot xmlserialize xmltable xmlnamespaces
    json_array json_arrayagg json_exists json_objectagg json_query json_scalar json_serialize
    json_table json_value
"""
"""Calls that are part of the grammar: no function can have these names unquoted."""

TYPES = """
    numeric decimal dec varchar char character nchar bpchar bit time timestamp interval float
"""
"""Types that take a length or a precision in parentheses."""

WORDS = """
    all and any array as between case cast distinct else except exists for from group having in
    intersect lateral like limit not offset on only or row select some symmetric then to union
    using values when where
"""
"""Words in front of a parenthesis that no function of a user can be called by.

Not ``ilike``, ``is`` and ``similar``, and ``cube`` and ``rollup`` only after ``GROUP BY``: a
function may have these names.
"""

AFTER = {
    "by": ("order", "group", "partition"),
    "cube": ("by",),
    "rollup": ("by",),
    "sets": ("grouping",),
    "over": (")",),
    "filter": (")",),
    "first": ("fetch",),
    "next": ("fetch",),
    "varying": ("character", "char", "bit"),
    "bernoulli": ("tablesample",),
    "system": ("tablesample",),
    "repeatable": (")",),
}
"""Words that may also be the name of a function: the token before them decides."""

FUNCTIONS = frozenset(
    " ".join(
        (
            AGGREGATES,
            NUMBERS,
            STRINGS,
            TIMES,
            ARRAYS_AND_RANGES,
            DOCUMENTS,
            ADDRESSES_AND_SHAPES,
            SYSTEM,
            VOLATILE,
            LATER,
        )
    ).split()
)
"""Every function that a side-effect-free SELECT may call, quoted or not."""

UNQUOTED = FUNCTIONS.union(CALLS.split(), TYPES.split(), WORDS.split())
"""Every word that may come before a parenthesis."""
