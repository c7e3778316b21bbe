# AWS SDK for Ruby, the default chain of a client.
require "aws-sdk-core"

STDOUT.sync = true
credentials = nil
while gets
  begin
    credentials ||= Aws::STS::Client.new(region: "us-east-1").config.credentials or raise "no credentials"
    key = credentials.credentials.access_key_id
    puts "#{key} #{credentials.expiration.to_i}"
  rescue StandardError => error
    puts "none #{error.class}: #{error.message.split.join(' ')}"
  end
end
