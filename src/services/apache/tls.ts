/**
 * Mozilla's "intermediate" configuration, guidelines 5.7 (ssl-config.mozilla.org): TLS 1.2 and 1.3, forward secrecy,
 * no session tickets, because Apache never changes their key without a restart.
 */
export const TLS: readonly string[] = [
  'SSLProtocol -all +TLSv1.2 +TLSv1.3',
  'SSLOpenSSLConfCmd Curves X25519:prime256v1:secp384r1',
  `SSLCipherSuite ${[
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
    'DHE-RSA-AES128-GCM-SHA256',
    'DHE-RSA-AES256-GCM-SHA384',
    'DHE-RSA-CHACHA20-POLY1305',
  ].join(':')}`,
  'SSLHonorCipherOrder off',
  'SSLSessionTickets off',
  'SSLSessionCache shmcb:ssl-sessions(512000)',
  'SSLSessionCacheTimeout 86400',
];
