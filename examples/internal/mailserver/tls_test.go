package mailserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
)

func TestLoginOverTLS(t *testing.T) {
	s := startServer(t)
	c, greeting := s.dialTLS()
	assert.Contains(t, greeting, "AUTH=PLAIN")
	assert.NotContains(t, greeting, "STARTTLS")
	requireOK(t, c.Cmd("a LOGIN karen pass"))
	assert.Contains(t, s.stdout.String(), "self-signed certificate")
}

func TestLoginAfterSTARTTLS(t *testing.T) {
	s := startServer(t)
	c, greeting := s.dial()
	assert.Contains(t, greeting, "STARTTLS")
	assert.Contains(t, greeting, "AUTH=PLAIN")
	requireOK(t, c.Cmd("a STARTTLS"))
	secure := imaptest.NewConn(t, tls.Client(c.Conn, insecure))
	requireOK(t, secure.Cmd("b LOGIN karen pass"))
}

func TestLoginWithoutTLSIsForLoopbackOnly(t *testing.T) {
	s := startServer(t, "-listen", "0.0.0.0:0")
	_, port, err := net.SplitHostPort(s.address("plain"))
	require.NoError(t, err)
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	c := imaptest.NewConn(t, conn)
	assert.Contains(t, c.Line(), "STARTTLS LOGINDISABLED")
	assert.Contains(t, imaptest.Last(c.Cmd("a LOGIN karen pass")), "NO [PRIVACYREQUIRED]")
	assert.Contains(t, s.stdout.String(), "LOGIN only after STARTTLS, because it is not loopback")
	requireOK(t, c.Cmd("b STARTTLS"))
	requireOK(t, imaptest.NewConn(t, tls.Client(conn, insecure)).Cmd("c LOGIN karen pass"))
}

func TestEachAddressCanBeSwitchedOff(t *testing.T) {
	s := startServer(t, "-listen", "")
	assert.NotContains(t, s.stdout.String(), "plain")
	s.dialTLS()
	s = startServer(t, "-listen-tls", "")
	assert.NotContains(t, s.stdout.String(), "  TLS ")
	s.dial()
}

func TestACertificateOfOnesOwn(t *testing.T) {
	made, err := selfSigned()
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	require.NoError(t, err)
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	write := func(path, kind string, der []byte) {
		require.NoError(
			t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600),
		)
	}
	write(certFile, "CERTIFICATE", made.Certificate[0])
	write(keyFile, "PRIVATE KEY", key)

	s := startServer(t, "-tls-cert", certFile, "-tls-key", keyFile)
	leaf, err := x509.ParseCertificate(made.Certificate[0])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	conn, err := tls.Dial(
		"tcp", s.address("TLS"), &tls.Config{RootCAs: roots, ServerName: "localhost"},
	)
	require.NoError(t, err)
	defer conn.Close()
	assert.Contains(t, s.stdout.String(), "certificate of "+certFile)
}
