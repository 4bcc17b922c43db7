// Package saslname tells who logs in by AUTHENTICATE where the backend has the exchange.
package saslname

import (
	"strings"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-sasl"
)

// Authenticate begins an exchange of a session, which must be an [imapserver.SessionSASL]. It calls
// loggedIn when that has succeeded. The user is "" if it is not clear whose session it will be: for
// all mechanisms but PLAIN, and for a client that wants to act as somebody else, which some
// backends ignore.
func Authenticate(
	session imapserver.Session, mech string, loggedIn func(user string),
) (sasl.Server, error) {
	server, err := session.(imapserver.SessionSASL).Authenticate(mech)
	if err != nil {
		return server, err
	}
	return &exchange{server, mech, loggedIn}, nil
}

type exchange struct {
	sasl.Server
	mech     string
	loggedIn func(user string)
}

func (e *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = e.Server.Next(response)
	if !done || err != nil {
		return challenge, done, err
	}
	user := ""
	if e.mech == sasl.Plain {
		user = plainUser(response)
	}
	e.loggedIn(user)
	return challenge, done, err
}

// plainUser returns the name in a response of PLAIN (RFC 4616).
func plainUser(response []byte) string {
	fields := strings.Split(string(response), "\x00")
	if len(fields) != 3 || fields[0] != "" && fields[0] != fields[1] {
		return ""
	}
	return fields[1]
}
