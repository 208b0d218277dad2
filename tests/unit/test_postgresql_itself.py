"""Which answers to `version()` are PostgreSQL's own."""

from __future__ import annotations

import pytest

from pgflight.dialect.first_connection import is_postgresql

OWN = (
    "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian"
    " 12.2.0-14+deb12u1) 12.2.0, 64-bit",
    "PostgreSQL 10.23 on x86_64-pc-linux-gnu, compiled by gcc (GCC) 4.8.5 20150623, 64-bit",
    "PostgreSQL 18.1 (Homebrew) on aarch64-apple-darwin24.6.0, compiled by Apple clang version"
    " 17.0.0 (clang-1700.0.13.5), 64-bit",
    "PostgreSQL 17beta2 on x86_64-windows, compiled by msvc-19.40.33811, 64-bit",
    "PostgreSQL 19devel on x86_64-linux, compiled by clang-18.1.3, 64-bit",
    "PostgreSQL 14.2, compiled by Visual C++ build 1914, 64-bit".replace(
        ",", " on x86_64-pc-windows,", 1
    ),
)
OTHERS = (
    "",
    "PostgreSQL 16",
    "CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu, built 2023/09/27 01:53:43, go1.19.10)",
    "PostgreSQL 9.5.0 on x86_64-unknown-linux-gnu (Materialize v0.100.0 (abc))",
    "PostgreSQL 12.3, compiled by Visual C++ build 1914, 64-bit, QuestDB",
    "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat"
    " 3.4.2-6.fc3), Redshift 1.0.59945",
    "PostgreSQL 11.2-YB-2.19.3.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 16.0.6,"
    " 64-bit",
    "PostgreSQL 15.2 (EnterpriseDB Advanced Server 15.2.0) on x86_64-pc-linux-gnu, compiled by gcc"
    " (GCC) 8.5.0, 64-bit",
    "PostgreSQL 12.12 (Greenplum Database 7.0.0 build commit:0a7a3566) on x86_64-pc-linux-gnu,"
    " compiled by gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-18), 64-bit compiled on Sep 21 2023",
    "PostgreSQL 9.2.4 (openGauss 3.0.0 build 02c14696) compiled at 2022-04-01 on x86_64-unknown-"
    "linux-gnu, compiled by g++ (GCC) 7.3.0, 64-bit",
    "PostgreSQL 13.0.0-RisingWave-2.1.0 (abc)",
    "CrateDB 5.5.0 (built abc/2023-11-15T15:40:57Z, Linux 5.15.0, OpenJDK 64-Bit Server VM 21)",
    "PostgreSQL 8.2.23 server protocol using H2 2.2.224 (2023-09-17)",
)


@pytest.mark.parametrize("version", OWN)
def test_postgresql(version: str) -> None:
    assert is_postgresql(version)


@pytest.mark.parametrize("version", OTHERS)
def test_relatives(version: str) -> None:
    assert not is_postgresql(version)
