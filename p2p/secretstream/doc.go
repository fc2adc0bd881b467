// Package secretstream encrypts a TCP connection as Hypercore's JavaScript
// peers do (spec 10; sections are those of the Hypercore 11 specification): a
// Noise handshake, then libsodium's secretstream. It knows nothing of cores.
//
// # Use
//
//	c, err := secretstream.Handshake(ctx, tcp, secretstream.Options{Initiator: true})
//	swarm.Serve(ctx, replicate.Conn{Stream: c, Initiator: c.Initiator(), HandshakeHash: c.HandshakeHash(), ...})
//
// A [Conn] takes and gives plaintext frames: a length of 3 bytes, little-endian,
// then that many bytes. Writes may hold several frames or parts of them, Reads
// may give parts. Each frame becomes one encrypted frame. One goroutine may read
// while another writes; Close may be called by any, at any time, and ends both.
// The package starts no goroutines.
//
// # On the wire
//
// All is in frames of that same form, here written [n | content]. None is empty.
//
//	initiator -> [32 | e]
//	responder -> [96 | e, encrypted s (48), encrypted empty payload (16)]
//	initiator -> [64 | encrypted s (48), encrypted empty payload (16)]
//	each side -> [56 | stream id (32), secretstream header (24)]
//	each side -> [1 + n + 16 | T0 (1), ciphertext (n), mac (16)] ...
//
// The handshake is Noise_XX_Ed25519_ChaChaPoly_BLAKE2b with an empty prologue
// and empty payloads. Its Diffie-Hellman is on Ed25519 itself: a private key is
// the clamped first half of SHA-512(seed), a public key a compressed point, the
// shared secret a compressed point too. Points that are not canonical, not on
// the curve, of small order or not in the prime-order subgroup are refused.
//
// The stream id is BLAKE2b-256 of a constant of the sender's role, keyed with
// the handshake hash. A data frame is one message of
// crypto_secretstream_xchacha20poly1305 with tag 0 and no additional data, under
// the key that the handshake gave for that direction:
//
//	k, counter, inonce = HChaCha20(key, header[0:16]), 1, header[16:24]
//	nonce      = u32(counter) || inonce
//	T          = (tag || 63 zeros) xor ChaCha20(k, nonce, block 1)
//	ciphertext = plaintext xor ChaCha20(k, nonce, blocks 2 and on)
//	mac        = Poly1305(ChaCha20(k, nonce, block 0)[0:32],
//	             T || ciphertext || zeros(n mod 16) || u64(0) || u64(64 + n))
//	inonce ^= mac[0:8]; counter++; once the counter wraps: k and inonce are
//	xored with ChaCha20(k, nonce, block 0)[0:40], counter = 1
//
// (n mod 16 zeros is a slip of libsodium's that became the format.)
//
// # Keep-alive
//
// A frame of length 0 that is written becomes an encrypted empty frame, which
// tells the peer that we live; the owner writes one after 5 s without another.
// Those of the peer are given to the reader as they come, so that its owner
// notices life; they mean nothing else.
//
// # Trust
//
// Until message 3 nobody is known; the length of each handshake frame is fixed
// and checked before it is read, and all of it has to be over within
// [HandshakeTimeout]. Afterwards memory for a frame is taken only as its bytes
// arrive, and no byte of it is given out before its mac was checked, in constant
// time. Anything wrong ends the stream. The static key says who the peer is only
// if it is known from elsewhere: JavaScript makes a new one for each stream.
package secretstream
