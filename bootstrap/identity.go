package bootstrap

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// maxIdentity bounds an identity file; an ed25519 key takes 68 bytes.
const maxIdentity = 4 << 10

// NewIdentity makes a private key, of which the peer ID is derived. src is a
// source of secret randomness; nil means the system's.
func NewIdentity(src io.Reader) (crypto.PrivKey, error) {
	if src == nil {
		src = rand.Reader
	}
	key, _, err := crypto.GenerateEd25519Key(src)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	return key, nil
}

// ParseIdentity reads the content of an identity file: a libp2p private key,
// in protobuf, of type ed25519.
func ParseIdentity(b []byte) (crypto.PrivKey, error) {
	if len(b) > maxIdentity {
		return nil, fmt.Errorf("parse identity: %d bytes are no ed25519 key", len(b))
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("parse identity: %w", err)
	}
	if key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("parse identity: key of type %v, want Ed25519", key.Type())
	}
	return key, nil
}

// Identity returns the peer's private key. The first call in a new home makes
// it. A file that others can read, or that holds no key, is an error: a key is
// never replaced.
func (h *Home) Identity() (crypto.PrivKey, error) {
	path := h.Path(IdentityFile)
	key, err := readKey(path, "restore it from a backup; or start over under a new identity in a new home: --home DIR")
	if errors.Is(err, fs.ErrNotExist) {
		return h.createIdentity(path)
	}
	return key, err
}

// readKey reads a private key from a file that nobody else may read. The fix is
// for a file that holds none.
func readKey(path, fix string) (crypto.PrivKey, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, pathError("read", path, err)
	case !info.Mode().IsRegular():
		return nil, &Error{Code: CodeBadIdentity, Message: path + " is not a regular file", Fix: "restore it from a backup"}
	case info.Mode().Perm()&0o077 != 0:
		return nil, &Error{
			Code:    CodeBadIdentity,
			Message: fmt.Sprintf("%s has mode %04o: others can read or change the private key in it", path, info.Mode().Perm()),
			Fix:     "chmod 600 " + path,
		}
	}
	b, err := readFile(path, maxIdentity)
	if err == nil {
		var key crypto.PrivKey
		if key, err = ParseIdentity(b); err == nil {
			return key, nil
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, pathError("read", path, err)
	}
	return nil, &Error{
		Code: CodeBadIdentity, Message: fmt.Sprintf("%s holds no key: %v", path, err), Err: err, Fix: fix,
	}
}

// createIdentity makes and keeps a key, unless the home shows that it had one:
// a lost key must not turn into another peer with that peer's data.
func (h *Home) createIdentity(path string) (crypto.PrivKey, error) {
	if _, err := os.Stat(h.Path(DataDir)); err == nil {
		return nil, &Error{
			Code: CodeBadIdentity, Message: path + " is gone, but the home has data",
			Fix: "restore it from a backup; or start over in a new home: --home DIR",
		}
	}
	key, err := NewIdentity(nil)
	if err != nil {
		return nil, err
	}
	if err := writeKey(path, key); err != nil {
		return nil, err
	}
	return key, nil
}

// writeKey keeps a private key in a file of mode 0600, as all of writeFile's are.
func writeKey(path string, key crypto.PrivKey) error {
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writeFile(path, b)
}
