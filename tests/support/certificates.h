// SPDX-License-Identifier: Apache-2.0
//
// A certificate authority, a certificate that it signed for localhost and 127.0.0.1, and that certificate's
// key. Made only for these tests.
#ifndef NSP_TESTS_CERTIFICATES_H
#define NSP_TESTS_CERTIFICATES_H

static const char test_authority[] = "-----BEGIN CERTIFICATE-----\n"
                                     "MIIBizCCATOgAwIBAgIUTdnf5alLoOBXpG5cgPG2mrD63RgwCgYIKoZIzj0EAwIw\n"
                                     "GzEZMBcGA1UEAwwQbmFub3NwYW4gdGVzdCBDQTAgFw0yNjExMjQwMDMwNTlaGA8y\n"
                                     "MTI2MTAzMTAwMzA1OVowGzEZMBcGA1UEAwwQbmFub3NwYW4gdGVzdCBDQTBZMBMG\n"
                                     "ByqGSM49AgEGCCqGSM49AwEHA0IABIbuh5kCtqNrelo18mpnsVo/aCY0ksWvpmd7\n"
                                     "zw+0Nk6mIOOHWqWeF6dcfVqmaoe1+8UQQfD481/GS74Cox1KiX+jUzBRMB0GA1Ud\n"
                                     "DgQWBBRTzVqLfXk5aJR2hfJk6Bq66u61NzAfBgNVHSMEGDAWgBRTzVqLfXk5aJR2\n"
                                     "hfJk6Bq66u61NzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0YAMEMCIDlQ\n"
                                     "1epf9bstus8uthT1KdYJciJOpIq2IJwpUpeB/DO0Ah8aFcxubzc0mC88Dc7qkLoD\n"
                                     "T2l5FNLa0xOZ0FrtFqyw\n"
                                     "-----END CERTIFICATE-----\n";
static const char test_certificate[] = "-----BEGIN CERTIFICATE-----\n"
                                       "MIIBjjCCATSgAwIBAgIURbHoD7W9Do/WMCuA0BJaGBSlyqUwCgYIKoZIzj0EAwIw\n"
                                       "GzEZMBcGA1UEAwwQbmFub3NwYW4gdGVzdCBDQTAgFw0yNjExMjQwMDMxMDBaGA8y\n"
                                       "MTI2MTAzMTAwMzEwMFowETEPMA0GA1UEAwwGY2xpZW50MFkwEwYHKoZIzj0CAQYI\n"
                                       "KoZIzj0DAQcDQgAE5MFiRvrd5crP6o3gMyV3b6OsVYfyTvNJCJy+K0T6LEERs2G3\n"
                                       "htTCBlUSVLbmdppL6oTvmK9qAFPWgZkaJUdPMaNeMFwwGgYDVR0RBBMwEYIJbG9j\n"
                                       "YWxob3N0hwR/AAABMB0GA1UdDgQWBBTBmeEGkAsjFS1pFYOoF0oxcDyoaDAfBgNV\n"
                                       "HSMEGDAWgBRTzVqLfXk5aJR2hfJk6Bq66u61NzAKBggqhkjOPQQDAgNIADBFAiEA\n"
                                       "vI3IXaCpABHS/1u3o7mpebCfAXBSTJ9sO/tyJ2RM6SYCIDh2+pX2/Z6QVW23EwNm\n"
                                       "cFW7QF5OmlnF+OjElSaVou3O\n"
                                       "-----END CERTIFICATE-----\n";
static const char test_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
                               "MHcCAQEEIEQ2R0J0+R+3QKZkog8C3WJ6a1DuVezKrfITVn4Ls/60oAoGCCqGSM49\n"
                               "AwEHoUQDQgAE5MFiRvrd5crP6o3gMyV3b6OsVYfyTvNJCJy+K0T6LEERs2G3htTC\n"
                               "BlUSVLbmdppL6oTvmK9qAFPWgZkaJUdPMQ==\n"
                               "-----END EC PRIVATE KEY-----\n";

#endif
