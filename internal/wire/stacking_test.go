package wire_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// Every way to stack listener, TLS and server either works, or makes Serve return an error that
// says what is wrong.
func TestEveryStacking(t *testing.T) {
	const (
		in       = "logs in"
		refused  = "LOGINDISABLED"
		offered  = "STARTTLS LOGINDISABLED"
		offers   = "STARTTLS, logs in"
		aboveTLS = "imapgate: the server offers STARTTLS above the listener"
		unseen   = "imapgate: the server does not see that the listener is encrypted"
		below    = "imapgate: the listener is below TLS"
		twice    = "imapgate: Serve needs the listener below NewListener"
	)
	goIMAP := func(o *imapserver.Options) server { return imapserver.New(o) }
	ours := func(o *imapserver.Options) server { return newServer(o) }
	plain := func(ln net.Listener) net.Listener { return ln }
	overTLS := func(ln net.Listener) net.Listener { return tls.NewListener(ln, imaptest.ServerTLS()) }
	filterOverTLS := func(ln net.Listener) net.Listener { return newListener(overTLS(ln)) }
	tlsOverFilter := func(ln net.Listener) net.Listener { return overTLS(newListener(ln)) }
	for _, test := range []struct {
		name      string
		server    func(*imapserver.Options) server
		listener  func(net.Listener) net.Listener
		encrypted bool
		want      [4]string // without and with InsecureAuth, then both with a TLSConfig
	}{
		{"NewServer", ours, plain, false, [4]string{refused, in, offered, offers}},
		{"NewServer, TLS", ours, overTLS, true, [4]string{in, in, in, in}},
		{"NewServer, NewListener", ours, newListener, false, [4]string{twice, twice, twice, twice}},
		{"NewServer, NewListener, TLS", ours, filterOverTLS, true, [4]string{twice, twice, twice, twice}},
		{"NewServer, TLS, NewListener", ours, tlsOverFilter, true, [4]string{below, below, below, below}},
		{"New, NewListener", goIMAP, newListener, false, [4]string{refused, in, aboveTLS, aboveTLS}},
		{"New, NewListener, TLS", goIMAP, filterOverTLS, true, [4]string{unseen, in, aboveTLS, aboveTLS}},
		{"New, TLS, NewListener", goIMAP, tlsOverFilter, true, [4]string{below, below, below, below}},
	} {
		for i, want := range test.want {
			options := quiet(imapserver.Options{NewSession: stub(t), InsecureAuth: i&1 != 0})
			if i&2 != 0 {
				options.TLSConfig = imaptest.ServerTLS()
			}
			ln := imaptest.Listen()
			served := start(t, test.server(options), test.listener(ln))
			said := ""
			if want != twice {
				conn, err := ln.Dial()
				require.NoError(t, err)
				if test.encrypted {
					conn = tls.Client(conn, imaptest.ClientTLS())
				}
				go io.WriteString(conn, "a LOGIN u p\r\nb IDLE\r\nc CAPABILITY\r\nd LOGOUT\r\n")
				output, _ := io.ReadAll(conn)
				said = string(output)
			}
			assert.NotContains(t, said, "IDLE", test.name)
			assert.NotContains(t, said, "idling", test.name)

			var got string
			switch {
			case strings.Contains(said, "a OK"):
				got = in
			case strings.Contains(said, "a NO [PRIVACYREQUIRED]"):
				got = refused
			default:
				assert.Empty(t, said, test.name)
				assert.ErrorContains(t, <-served, want, test.name)
				continue
			}
			greeting, _, _ := strings.Cut(said, "\r\n")
			assert.Equal(t, got == refused, strings.Contains(greeting, "LOGINDISABLED"), greeting)
			if strings.Contains(greeting, "STARTTLS") {
				got = map[string]string{in: offers, refused: offered}[got]
			}
			assert.Equal(t, want, got, "%s: %s", test.name, said)
		}
	}
}
