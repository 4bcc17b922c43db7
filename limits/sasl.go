package limits

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
)

// AuthenticateMechanisms returns the backend's mechanisms, none on a connection that is about to be closed.
func (s *session) AuthenticateMechanisms() []string {
	inner, ok := s.Session.(imapserver.SessionSASL)
	if !ok || s.refused != nil {
		return nil
	}
	return inner.AuthenticateMechanisms()
}

// Authenticate starts the backend's exchange, with the limits on each step of it.
func (s *session) Authenticate(mech string) (sasl.Server, error) {
	if s.refused != nil {
		return nil, s.refused
	}
	inner, ok := s.Session.(imapserver.SessionSASL)
	if !ok {
		return nil, fmt.Errorf("limits: %T does not support SASL", s.Session)
	}
	server, err := inner.Authenticate(mech)
	if err != nil {
		return nil, err
	}
	return &exchange{session: s, server: server, mech: mech}, nil
}

// exchange is a SASL exchange that learns from the client's messages who logs in. Nothing is held between two steps: a client that
// cancels or goes silent leaves nothing behind.
type exchange struct {
	session *session
	server  sasl.Server
	mech    string
	begun   bool // the first message of the client has been seen
	user    string
}

func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	if response != nil && !e.begun {
		e.begun = true
		e.user = identity(e.mech, response)
	}
	err = e.session.login(commandAuthenticate, e.user, func() (bool, error) {
		var err error
		challenge, done, err = e.server.Next(response)
		return done, err
	})
	if err != nil {
		return nil, false, err
	}
	return challenge, done, nil
}

// identity returns whom the session will act as, by the first message of the client: the authorization identity if there is one, else the
// user name. It returns "" if the message does not tell.
func identity(mech string, message []byte) string {
	mech = strings.ToUpper(mech)
	switch {
	case mech == "PLAIN": // RFC 4616: authzid NUL authcid NUL passwd
		parts := bytes.SplitN(message, []byte{0}, 3)
		if len(parts) != 3 {
			return ""
		}
		if len(parts[0]) > 0 {
			return string(parts[0])
		}
		return string(parts[1])
	case mech == "LOGIN": // draft-murchison-sasl-login: the user name, then the password
		return string(message)
	case mech == "EXTERNAL": // RFC 4422 appendix A: authzid, or nothing
		return string(message)
	case mech == "XOAUTH2": // user=… ^A auth=Bearer … ^A ^A
		return field(message, "user=", "\x01")
	case mech == "OAUTHBEARER": // RFC 7628: a GS2 header, then fields separated by ^A
		authzid, _ := gs2(message)
		return authzid
	case strings.HasPrefix(mech, "SCRAM-"): // RFC 5802 section 7: a GS2 header, then n=…,r=…
		authzid, rest := gs2(message)
		if authzid != "" {
			return authzid
		}
		return unescape(field(rest, "n=", ","))
	default:
		return ""
	}
}

// gs2 reads the header of RFC 5801 section 4, such as "n,a=karen,", and returns the authorization identity in it, "" if there is none, and
// what follows the header.
func gs2(message []byte) (authzid string, rest []byte) {
	parts := bytes.SplitN(message, []byte{','}, 3)
	if len(parts) != 3 {
		return "", nil
	}
	return unescape(field(parts[1], "a=", ",")), parts[2]
}

// field returns the value of the first of the fields in message that begins with name.
func field(message []byte, name, separator string) string {
	for part := range strings.SplitSeq(string(message), separator) {
		if value, ok := strings.CutPrefix(part, name); ok {
			return value
		}
	}
	return ""
}

// unescape decodes a saslname of RFC 5801.
var unescape = strings.NewReplacer("=2C", ",", "=2c", ",", "=3D", "=", "=3d", "=").Replace
