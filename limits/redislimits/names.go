package redislimits

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
)

// names makes the names of keys and channels in Redis.
type names struct {
	prefix string
	key    []byte      // for hashes; nil without a secret
	guess  []byte      // for hashes of guesses; nil without a secret
	aead   cipher.AEAD // nil without a secret
}

func newNames(prefix string, secret []byte) names {
	n := names{prefix: "{" + prefix + "}"}
	if len(secret) == 0 {
		return n
	}
	n.key, n.guess = derive(secret, "keys"), derive(secret, "guesses")
	block, err := aes.NewCipher(derive(secret, "values"))
	if err != nil {
		panic(err) // cannot happen: the key has the right length
	}
	if n.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		panic(err)
	}
	return n
}

func derive(secret []byte, use string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, "imapgate/redislimits "+use, sha256.Size)
	if err != nil {
		panic(err) // cannot happen: the key is short enough
	}
	return key
}

// user is the set of a user's leases, and network the set of a network's leases. They hash long
// names: a name can be as long as a client likes, but a key should not.
func (n *names) user(key string) string { return n.prefix + "user:" + n.hide(key) }

func (n *names) network(p netip.Prefix) string { return n.prefix + "net:" + n.hide(p.String()) }

// pages is the set of all pages that nodes publish. page is one of them: a hash with a session in
// each field.
func (n *names) pages() string { return n.prefix + "pages" }

func (n *names) page(name string) string { return n.prefix + "page:" + name }

// node is the channel with the orders to a node to end sessions. answer is the list for its answer.
func (n *names) node(name string) string { return n.prefix + "node:" + name }

func (n *names) answer(id string) string { return n.prefix + "answer:" + id }

// guesses is the channel for wrong passwords. guessesOf is the list of a network's wrong passwords,
// which it shares with other networks: strangers can have any number of networks, and must not
// cause as many keys. turn exists while a node has the turn to check a password from the network.
func (n *names) guesses() string { return n.prefix + "guesses" }

func (n *names) guessesOf(p netip.Prefix) string {
	hash := sha256.Sum256([]byte(n.hide(wide(p).String())))
	return n.prefix + "guess:" + strconv.Itoa(int(binary.BigEndian.Uint16(hash[:]))%guessLists)
}

// wide returns the network whose wrong passwords a limiter counts together: for IPv6 it is a /48.
func wide(p netip.Prefix) netip.Prefix {
	if all, err := p.Addr().Prefix(48); err == nil && p.Addr().Is6() && p.Bits() > 48 {
		return all
	}
	return p
}

func (n *names) turn(p netip.Prefix) string { return n.prefix + "turn:" + n.hide(p.String()) }

// maxName is the length in bytes of the longest name that a key has without a hash.
const maxName = 100

// hide returns a keyed hash of the text or, without a secret, the text itself. Without a secret,
// long texts get a hash without a key. The first character tells the three forms apart.
func (n *names) hide(text string) string {
	switch {
	case n.key != nil:
		hash := hmac.New(sha256.New, n.key)
		hash.Write([]byte(text))
		return "*" + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:16])
	case len(text) > maxName:
		hash := sha256.Sum256([]byte(text))
		return "#" + base64.RawURLEncoding.EncodeToString(hash[:])
	default:
		return "=" + text
	}
}

// seal encrypts a value that is stored or sent under the name, if there is a secret.
func (n *names) seal(name string, value []byte) string {
	if n.aead == nil {
		return string(value)
	}
	return string(n.aead.Seal(nil, nil, value, []byte(name)))
}

var errSealed = errors.New("redislimits: a value does not fit Options.Secret")

func (n *names) open(name, value string) ([]byte, error) {
	if n.aead == nil {
		return []byte(value), nil
	}
	plain, err := n.aead.Open(nil, nil, []byte(value), []byte(name))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

func pageName(birth string, number int) string { return birth + "." + strconv.Itoa(number) }
